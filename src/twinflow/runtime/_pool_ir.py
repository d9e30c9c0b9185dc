"""The thread pool's native half, as LLVM IR: what workers do, and the fork-join that generated code calls.

The pool is one block of memory, `FIELDS`. A job is a function, a context and a number of chunks, which are taken one by one, or
`each` at a time if there are very many. The `ticket` holds the number of the job (upper 32 bits), how many takes went to
its end (16 bits) and how many are left (16): whoever takes counts in it with a compare-and-swap, which fails if a
new job has begun since the ticket was read. So a worker that the system stops for a while between reading a job and taking a
chunk of it does no harm, and nobody waits for it: the caller takes the chunks that are left itself, and waits only for those
already taken (`done` counts them).

Even workers, the caller among them, take from the front, odd ones from the end, until they meet. What a kernel's first chunks
write, the next kernel's first chunks read, as a rule: so it mostly lies in the right core's cache.

Idle workers watch the ticket for a while, then sleep on the job number; a caller with nothing left to take does so on
`waiting`. Each side first announces that it is about to sleep and then looks once more, the other first changes the
value and then looks for sleepers, all sequentially consistent: no wake-up is lost.
"""

from __future__ import annotations

import sys

from twinflow.runtime._subnormals import mode_ir

# Byte offsets. What different threads write lies 128 bytes apart: processors fetch cache lines of 64 in pairs.
FIELDS = {
    "parallel": 0,  # address of tf_parallel: the field generated code reads
    "call": 8,  # address of the C library's `syscall`, or of a function that sleeps where there is no futex
    "futex": 16,  # number of the futex system call
    "watch": 24,  # for how many pauses a worker watches for work before it sleeps
    "workers": 32,  # threads besides the caller
    "stop": 40,  # 1 tells workers to return
    "yield": 48,  # address of the C library's `sched_yield`, or what there is in its place
    "flush": 56,  # 1 if programs treat subnormal numbers as zero
    "events": 64,  # where programs note times, or 0
    "wait": 72,  # for how many pauses a caller watches for the last chunks before it sleeps
    "function": 128,
    "context": 136,
    "chunks": 144,
    "takes": 152,
    "each": 160,
    "mode": 168,  # of the caller's floating-point unit, in which its chunks are computed
    "ticket": 256,
    "done": 384,
    "sleepers": 512,
    "busy": 640,  # 1 while a job runs
    "waiting": 768,  # 1 while the caller sleeps
}
POOL_NBYTES = 896
YIELD_EVERY = 64  # turns of watching; a power of two
MOST_TAKES_BITS = 15  # more chunks than 2 to this are taken several at a time

# Text for a module that calls the pool: tf_parallel(pool, fn, ctx, nchunks) calls fn(ptr ctx, i64 chunk, i64 worker)
# once for each chunk, in any order, by any worker in 0..threads-1, and returns when all are done.
PARALLEL_IR = """
define internal void @tf_parallel(ptr %pool, ptr %fn, ptr %ctx, i64 %nchunks) alwaysinline {
  %parallel = load ptr, ptr %pool, align 8
  call void %parallel(ptr %pool, ptr %fn, ptr %ctx, i64 %nchunks)
  ret void
}
"""


def _field(name: str) -> str:
    return f"%{name}.p = getelementptr i8, ptr %pool, i64 {FIELDS[name]}"


def _fields(*names: str) -> str:
    return "\n  ".join(_field(name) for name in names)


def pool_ir(arch: str, doze: int | None) -> str:
    """The module that defines `tf_parallel`, and what `Pool` calls, for an architecture.

    Args:
        arch: the first word of LLVM's triple.
        doze: None if threads sleep with Linux's futex; else the argument of the sleeping function, after which they
            look again.
    """
    if arch in ("x86_64", "i386", "i686"):
        declare, pause = "declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"
    elif arch in ("aarch64", "arm64"):
        declare, pause = "declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)"
    else:
        declare, pause = "", 'fence syncscope("singlethread") seq_cst'
    # The kernel compares 32 bits: those of the job number, not of the chunks left.
    job_offset = 4 if sys.byteorder == "little" else 0
    if doze is None:
        sleep = """
  %number.p = getelementptr i8, ptr %pool, i64 {number}
  %number = load i64, ptr %number.p
  %wide = zext i32 %seen to i64
  %r = call i64 %call(i64 %number, ptr %word, i64 128, i64 %wide, ptr null, ptr null, i64 0)
  ret void"""
        wake = """
  %number.p = getelementptr i8, ptr %pool, i64 {number}
  %number = load i64, ptr %number.p
  %r = call i64 %call(i64 %number, ptr %word, i64 129, i64 %count, ptr null, ptr null, i64 0)
  ret void"""  # 128 and 129: FUTEX_WAIT and FUTEX_WAKE, private to the process
    else:
        sleep = f"""
  %r = call i32 %call(i32 {doze})
  ret void"""
        wake = """
  ret void"""
    sleep, wake = sleep.format(number=FIELDS["futex"]), wake.format(number=FIELDS["futex"])
    return f"""
{declare}
{mode_ir(arch)}
; sleep while the 32 bits at %word are %seen; may return early
define internal void @sleep(ptr %pool, ptr %word, i32 %seen) noinline cold {{
  {_field("call")}
  %call = load ptr, ptr %call.p{sleep}
}}

; wake up to %count sleepers on %word
define internal void @wake(ptr %pool, ptr %word, i64 %count) noinline cold {{
  {_field("call")}
  %call = load ptr, ptr %call.p{wake}
}}

; A turn of watching. Now and then the processor is offered to others: the thread that is waited for may be one of them.
define internal void @pause_or_yield(ptr %pool, i64 %turn) alwaysinline {{
entry:
  %of = and i64 %turn, {YIELD_EVERY - 1}
  %offer = icmp eq i64 %of, {YIELD_EVERY - 1}
  br i1 %offer, label %offering, label %pausing
offering:
  {_field("yield")}
  %yield = load ptr, ptr %yield.p
  %r = call i32 %yield()
  ret void
pausing:
  {pause}
  ret void
}}

define void @tf_pause(i64 %times) {{
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  {pause}
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %times
  br i1 %more, label %loop, label %out
out:
  ret void
}}

; Take chunks until there are none, and run them. Returns the last ticket seen.
define internal i64 @take_chunks(ptr %pool, i64 %worker) {{
entry:
  {_fields("function", "context", "chunks", "takes", "each", "mode", "ticket", "done", "waiting")}
  %odd = and i64 %worker, 1
  %at_end = icmp ne i64 %odd, 0
  %count = select i1 %at_end, i64 65535, i64 -1
  br label %look
look:
  %seen = load atomic i64, ptr %ticket.p acquire, align 8
  br label %try
try:
  %ticket = phi i64 [%seen, %look], [%found, %take]
  %left = and i64 %ticket, 65535
  %none = icmp eq i64 %left, 0
  br i1 %none, label %out, label %take
take:
  ; these may be of a later job than %ticket: then the exchange fails
  %function = load atomic ptr, ptr %function.p monotonic, align 8
  %context = load atomic ptr, ptr %context.p monotonic, align 8
  %chunks = load atomic i64, ptr %chunks.p monotonic, align 8
  %takes = load atomic i64, ptr %takes.p monotonic, align 8
  %each = load atomic i64, ptr %each.p monotonic, align 8
  %mode = load atomic i64, ptr %mode.p monotonic, align 8
  %fewer = add i64 %ticket, %count
  %exchange = cmpxchg ptr %ticket.p, i64 %ticket, i64 %fewer acq_rel acquire, align 8
  %found = extractvalue {{i64, i1}} %exchange, 0
  %taken = extractvalue {{i64, i1}} %exchange, 1
  br i1 %taken, label %begin, label %try
begin:
  %shifted = lshr i64 %ticket, 16
  %ended = and i64 %shifted, 65535
  %rest = sub i64 %takes, %ended
  %first = sub i64 %rest, %left
  %last = sub i64 %rest, 1
  %number = select i1 %at_end, i64 %last, i64 %first
  %from = mul i64 %number, %each
  %reach = add i64 %from, %each
  %beyond = icmp ugt i64 %reach, %chunks
  %to = select i1 %beyond, i64 %chunks, i64 %reach
  call void @set_mode(i64 %mode)
  br label %run
run:
  %chunk = phi i64 [%from, %begin], [%following, %run]
  call void %function(ptr %context, i64 %chunk, i64 %worker)
  %following = add i64 %chunk, 1
  %more = icmp ult i64 %following, %to
  br i1 %more, label %run, label %finish
finish:
  %before = atomicrmw add ptr %done.p, i64 1 seq_cst, align 8
  %after = add i64 %before, 1
  %complete = icmp eq i64 %after, %takes
  br i1 %complete, label %tell, label %look
tell:
  %waiting = load atomic i32, ptr %waiting.p seq_cst, align 4
  %awaited = icmp ne i32 %waiting, 0
  br i1 %awaited, label %rouse, label %look
rouse:
  store atomic i32 0, ptr %waiting.p seq_cst, align 4
  call void @wake(ptr %pool, ptr %waiting.p, i64 1)
  br label %look
out:
  ret i64 %ticket
}}

define void @tf_worker(ptr %pool, i64 %worker) {{
entry:
  {_fields("watch", "stop", "ticket", "sleepers")}
  %job.p = getelementptr i8, ptr %ticket.p, i64 {job_offset}
  %turns = load i64, ptr %watch.p
  br label %work
work:
  %ticket = call i64 @take_chunks(ptr %pool, i64 %worker)
  br label %watch
watch:
  %i = phi i64 [0, %work], [%next, %still]
  %stop = load atomic i64, ptr %stop.p seq_cst, align 8
  %stopped = icmp ne i64 %stop, 0
  br i1 %stopped, label %out, label %watch2
watch2:
  %now = load atomic i64, ptr %ticket.p acquire, align 8
  %same = icmp eq i64 %now, %ticket
  br i1 %same, label %still, label %work
still:
  call void @pause_or_yield(ptr %pool, i64 %i)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %turns
  br i1 %more, label %watch, label %rest
rest:
  %job64 = lshr i64 %ticket, 32
  %job = trunc i64 %job64 to i32
  %s0 = atomicrmw add ptr %sleepers.p, i64 1 seq_cst, align 8
  call void @sleep(ptr %pool, ptr %job.p, i32 %job)
  %s1 = atomicrmw sub ptr %sleepers.p, i64 1 seq_cst, align 8
  br label %work
out:
  ret void
}}

; An empty job: its number differs, so that no worker goes on sleeping. The caller holds `busy`.
define void @tf_wake_workers(ptr %pool) {{
  {_field("ticket")}
  %job.p = getelementptr i8, ptr %ticket.p, i64 {job_offset}
  %old = atomicrmw add ptr %ticket.p, i64 4294967296 seq_cst, align 8
  call void @wake(ptr %pool, ptr %job.p, i64 65536)
  ret void
}}

; Keep jobs out until `busy` is cleared. Returns 1, or 0 if a job is running.
define i64 @tf_claim(ptr %pool) {{
  {_field("busy")}
  %exchange = cmpxchg ptr %busy.p, i64 0, i64 1 acq_rel monotonic, align 8
  %mine = extractvalue {{i64, i1}} %exchange, 1
  %r = zext i1 %mine to i64
  ret i64 %r
}}

define internal void @serially(ptr %fn, ptr %ctx, i64 %nchunks) {{
entry:
  %some = icmp sgt i64 %nchunks, 0
  br i1 %some, label %loop, label %out
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  call void %fn(ptr %ctx, i64 %i, i64 0)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %nchunks
  br i1 %more, label %loop, label %out
out:
  ret void
}}

define void @tf_parallel(ptr %pool, ptr %fn, ptr %ctx, i64 %nchunks) {{
entry:
  {_fields("wait", "workers", "function", "context", "chunks", "takes", "each", "mode")}
  {_fields("ticket", "done", "sleepers", "busy", "waiting")}
  %job.p = getelementptr i8, ptr %ticket.p, i64 {job_offset}
  %workers = load atomic i64, ptr %workers.p acquire, align 8
  %alone = icmp eq i64 %workers, 0
  %few = icmp slt i64 %nchunks, 2
  %simple = or i1 %alone, %few
  br i1 %simple, label %serial, label %claim
serial:
  call void @serially(ptr %fn, ptr %ctx, i64 %nchunks)
  ret void
claim:
  ; one job at a time: another thread's call, or one made inside a chunk, runs serially
  %claim.x = cmpxchg ptr %busy.p, i64 0, i64 1 acquire monotonic, align 8
  %mine = extractvalue {{i64, i1}} %claim.x, 1
  br i1 %mine, label %publish, label %serial
publish:
  store atomic ptr %fn, ptr %function.p monotonic, align 8
  store atomic ptr %ctx, ptr %context.p monotonic, align 8
  store atomic i64 %nchunks, ptr %chunks.p monotonic, align 8
  %above = lshr i64 %nchunks, {MOST_TAKES_BITS}
  %each = add i64 %above, 1
  %less = sub i64 %nchunks, 1
  %whole = udiv i64 %less, %each
  %takes = add i64 %whole, 1
  store atomic i64 %takes, ptr %takes.p monotonic, align 8
  store atomic i64 %each, ptr %each.p monotonic, align 8
  store atomic i64 0, ptr %done.p monotonic, align 8
  %mode = call i64 @get_mode()
  store atomic i64 %mode, ptr %mode.p monotonic, align 8
  %old = load atomic i64, ptr %ticket.p monotonic, align 8
  %number = lshr i64 %old, 32
  %number1 = add i64 %number, 1
  %upper = shl i64 %number1, 32
  %new = or i64 %upper, %takes
  %was = atomicrmw xchg ptr %ticket.p, i64 %new seq_cst, align 8
  %sleepers = load atomic i64, ptr %sleepers.p seq_cst, align 8
  %none = icmp eq i64 %sleepers, 0
  br i1 %none, label %join, label %rouse
rouse:
  ; of those who sleep, wake no more than there is work for
  %useful = sub i64 %takes, 1
  call void @wake(ptr %pool, ptr %job.p, i64 %useful)
  br label %join
join:
  %ticket = call i64 @take_chunks(ptr %pool, i64 0)
  %turns = load i64, ptr %wait.p
  br label %watch
watch:
  %i = phi i64 [0, %join], [%next, %still]
  %done = load atomic i64, ptr %done.p acquire, align 8
  %all = icmp eq i64 %done, %takes
  br i1 %all, label %out, label %still
still:
  call void @pause_or_yield(ptr %pool, i64 %i)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %turns
  br i1 %more, label %watch, label %rest
rest:
  store atomic i32 1, ptr %waiting.p seq_cst, align 4
  %done2 = load atomic i64, ptr %done.p seq_cst, align 8
  %all2 = icmp eq i64 %done2, %takes
  br i1 %all2, label %out, label %doze
doze:
  call void @sleep(ptr %pool, ptr %waiting.p, i32 1)
  br label %rest
out:
  store atomic i32 0, ptr %waiting.p monotonic, align 4
  store atomic i64 0, ptr %busy.p release, align 8
  ret void
}}
"""
