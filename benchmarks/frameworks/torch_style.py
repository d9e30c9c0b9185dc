"""Programs written in PyTorch's style, run by PyTorch and by twinflow: the same source, one module or the other."""

from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.operations import Operation
from benchmarks.workloads import CHECK_STEPS, Workload

from ._program import Loop, Program, with_batch


class Framework:
    def __init__(self, name: str, threads: int) -> None:
        self.compiled = name in ("twinflow", "torch-compile")
        self.ours = name.startswith("twinflow")
        self.torch: Any = import_module("twinflow" if self.ours else "torch")
        self.options = {} if self.ours else {"dynamic": False}  # every program has one size: PyTorch may count on it
        self.torch.set_num_threads(threads)
        self.version = self.torch.__version__

    def program(self, call: Any, arguments: list[tuple[Any, ...]]) -> Program:
        return Program(call, arguments, lambda result: None, lambda result: result.detach().numpy())

    def compile(self, function: Any) -> Any:
        return self.torch.compile(function, **self.options) if self.compiled else function

    def model(self, workload: Workload, arrays: dict[str, Any]) -> Any:
        model = workload.torch_model(self.torch)
        state = {k[2:]: self.torch.from_numpy(a) for k, a in arrays.items() if k.startswith("p/")}
        model.load_state_dict(state)
        return model

    def train(self, workload: Workload, arrays: dict[str, Any], checked: bool = False) -> Program:
        """The training step; `checked`: it stops at a loss or gradient that is not finite, before it updates anything."""
        torch = self.torch
        model = self.model(workload, arrays)
        criterion = torch.nn.MSELoss() if workload.loss == "mse" else torch.nn.CrossEntropyLoss()
        if workload.optimizer == "adam":
            optimizer = torch.optim.Adam(model.parameters(), lr=workload.lr)
        else:
            momentum = 0.9 if workload.optimizer == "momentum" else 0.0
            optimizer = torch.optim.SGD(model.parameters(), lr=workload.lr, momentum=momentum)

        def loss_of(x: Any, y: Any) -> Any:
            outputs = model(x)
            if outputs.ndim == 3:  # [N, T, classes]
                outputs, y = outputs.flatten(0, 1), y.flatten()
            return criterion(outputs, y)

        update = optimizer.step
        if self.compiled and not self.ours:
            # torch.compile gives backward() graphs of its own, so it gets the two functions around it.
            loss_of, update = self.compile(loss_of), self.compile(update)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = loss_of(x, y)
            loss.backward()
            if checked:
                with torch.no_grad():
                    torch.ensure(loss.isfinite(), "the loss is not finite")
                    grads = [p.grad.isfinite().all() for p in model.parameters()]
                    torch.ensure(torch.stack(grads), "a gradient is not finite")
            update()
            return loss

        if self.ours and workload.steps_a_call > 1:
            return self.loop(step, workload, arrays)
        if self.compiled and self.ours:
            step = torch.compile(step)
        batches = [(torch.from_numpy(arrays[f"x{i}"]), torch.from_numpy(arrays[f"y{i}"])) for i in range(CHECK_STEPS)]
        return self.program(step, batches)

    def loop(self, step: Any, workload: Workload, arrays: dict[str, Any]) -> Program:
        """Many steps, in one call if they are compiled, over the batches again and again."""
        scan = self.torch.scan
        steps = self.compile(lambda x, y: scan(lambda carry, batch: (carry, step(*batch)), [], (x, y))[1])

        def batches(n: int) -> tuple[Any, ...]:
            stacked = (np.stack([arrays[f"{which}{i % CHECK_STEPS}"] for i in range(n)]) for which in "xy")
            return tuple(map(self.torch.from_numpy, stacked))

        p = self.program(steps, [batches(workload.steps_a_call)])
        return Loop(p.call, p.arguments, p.sync, p.to_numpy, workload.steps_a_call, batches(CHECK_STEPS))

    def predict(self, workload: Workload, arrays: dict[str, Any], batch: int) -> Program:
        torch = self.torch
        model = self.model(workload, arrays).eval()
        forward = self.compile(model) if not self.ours else self.compile(lambda x: model(x))

        def predict(x: Any) -> Any:
            with torch.no_grad():
                return forward(x)

        return self.program(predict, [(torch.from_numpy(with_batch(arrays["x0"], batch)),)])

    def operation(self, operation: Operation, arrays: list[Any]) -> Program:
        function = self.compile(lambda *args: operation.torch(self.torch, *args))
        tensors = tuple(map(self.torch.from_numpy, arrays))
        if operation.needs_grad:
            for t in tensors:
                t.requires_grad_()
        return self.program(function, [tensors])
