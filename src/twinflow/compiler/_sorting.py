"""The sorting kernel: rows of unsigned 64-bit keys, each with the places its keys came from; stable.

Short rows by insertion, longer ones by least-significant-digit radix sort, eight bits at a time; digits that all keys of a
row share are skipped (the low ones of widened float32 keys, the high ones of small integers). Source: Knuth, "The Art of
Computer Programming", vol. 3, 5.2.5.
"""

from twinflow.compiler._builder import Module

_SHORT = 48  # rows up to this length are sorted by insertion
_GRAIN = 4096  # keys in a chunk, at least

_INSERTION = """
define internal void @tf.sort_short(ptr %keys, ptr %places, i64 %n) nounwind {
entry:
  br label %outer
outer:
  %i = phi i64 [0, %entry], [%i.next, %placed]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %take, label %done
take:
  %key.p = getelementptr i64, ptr %keys, i64 %i
  %key = load i64, ptr %key.p
  br label %shift
shift:
  %j = phi i64 [%i, %take], [%j.less, %move]
  %j.less = sub i64 %j, 1
  %some = icmp sgt i64 %j, 0
  br i1 %some, label %look, label %placed
look:
  %left.p = getelementptr i64, ptr %keys, i64 %j.less
  %left = load i64, ptr %left.p
  %larger = icmp ugt i64 %left, %key
  br i1 %larger, label %move, label %placed
move:
  %to.p = getelementptr i64, ptr %keys, i64 %j
  store i64 %left, ptr %to.p
  %from.q = getelementptr i64, ptr %places, i64 %j.less
  %to.q = getelementptr i64, ptr %places, i64 %j
  %place = load i64, ptr %from.q
  store i64 %place, ptr %to.q
  br label %shift
placed:
  %at.p = getelementptr i64, ptr %keys, i64 %j
  %at.q = getelementptr i64, ptr %places, i64 %j
  store i64 %key, ptr %at.p
  store i64 %i, ptr %at.q
  %i.next = add i64 %i, 1
  br label %outer
done:
  ret void
}
"""

_RADIX = """
define internal void @tf.sort_long(ptr %keys, ptr %places, ptr %keys2, ptr %places2, i64 %n) nounwind {
entry:
  %counts = alloca [2048 x i64], align 64
  call void @llvm.memset.p0.i64(ptr %counts, i8 0, i64 16384, i1 false)
  br label %count
count:
  %i = phi i64 [0, %entry], [%i.next, %counted]
  %i.more = icmp slt i64 %i, %n
  br i1 %i.more, label %read, label %digits
read:
  %key.p = getelementptr i64, ptr %keys, i64 %i
  %key = load i64, ptr %key.p
  %place.p = getelementptr i64, ptr %places, i64 %i
  store i64 %i, ptr %place.p
  br label %digit
digit:
  %d = phi i64 [0, %read], [%d.next, %digit]
  %by = shl i64 %d, 3
  %shifted = lshr i64 %key, %by
  %low = and i64 %shifted, 255
  %row = shl i64 %d, 8
  %slot = or i64 %row, %low
  %slot.p = getelementptr i64, ptr %counts, i64 %slot
  %old = load i64, ptr %slot.p
  %new = add i64 %old, 1
  store i64 %new, ptr %slot.p
  %d.next = add i64 %d, 1
  %d.more = icmp slt i64 %d.next, 8
  br i1 %d.more, label %digit, label %counted
counted:
  %i.next = add i64 %i, 1
  br label %count
digits:
  %g = phi i64 [0, %count], [%g.next, %passed]
  %k = phi ptr [%keys, %count], [%k.after, %passed]
  %p = phi ptr [%places, %count], [%p.after, %passed]
  %k2 = phi ptr [%keys2, %count], [%k2.after, %passed]
  %p2 = phi ptr [%places2, %count], [%p2.after, %passed]
  %g.more = icmp slt i64 %g, 8
  br i1 %g.more, label %same, label %end
same:
  %g.by = shl i64 %g, 3
  %g.row = shl i64 %g, 8
  %table = getelementptr i64, ptr %counts, i64 %g.row
  %one = load i64, ptr %k
  %one.shifted = lshr i64 %one, %g.by
  %one.low = and i64 %one.shifted, 255
  %one.p = getelementptr i64, ptr %table, i64 %one.low
  %one.count = load i64, ptr %one.p
  %all = icmp eq i64 %one.count, %n
  br i1 %all, label %passed, label %sum
sum:
  %s = phi i64 [0, %same], [%s.next, %sum]
  %before = phi i64 [0, %same], [%after, %sum]
  %s.p = getelementptr i64, ptr %table, i64 %s
  %s.count = load i64, ptr %s.p
  store i64 %before, ptr %s.p
  %after = add i64 %before, %s.count
  %s.next = add i64 %s, 1
  %s.more = icmp slt i64 %s.next, 256
  br i1 %s.more, label %sum, label %deal
deal:
  %e = phi i64 [0, %sum], [%e.next, %deal]
  %e.p = getelementptr i64, ptr %k, i64 %e
  %e.key = load i64, ptr %e.p
  %e.q = getelementptr i64, ptr %p, i64 %e
  %e.place = load i64, ptr %e.q
  %e.shifted = lshr i64 %e.key, %g.by
  %e.low = and i64 %e.shifted, 255
  %at.p = getelementptr i64, ptr %table, i64 %e.low
  %at = load i64, ptr %at.p
  %at.next = add i64 %at, 1
  store i64 %at.next, ptr %at.p
  %to.p = getelementptr i64, ptr %k2, i64 %at
  store i64 %e.key, ptr %to.p
  %to.q = getelementptr i64, ptr %p2, i64 %at
  store i64 %e.place, ptr %to.q
  %e.next = add i64 %e, 1
  %e.more = icmp slt i64 %e.next, %n
  br i1 %e.more, label %deal, label %passed
passed:
  %k.after = phi ptr [%k, %same], [%k2, %deal]
  %p.after = phi ptr [%p, %same], [%p2, %deal]
  %k2.after = phi ptr [%k2, %same], [%k, %deal]
  %p2.after = phi ptr [%p2, %same], [%p, %deal]
  %g.next = add i64 %g, 1
  br label %digits
end:
  %home = icmp eq ptr %p, %places
  br i1 %home, label %done, label %copy
copy:
  %nbytes = shl i64 %n, 3
  call void @llvm.memcpy.p0.p0.i64(ptr %places, ptr %p, i64 %nbytes, i1 false)
  br label %done
done:
  ret void
}
"""

_ROWS = """
define void @{name}(ptr %args, i64 %chunk, i64 %worker) nounwind {{
entry:
  %keys = load ptr, ptr %args
  %places.p = getelementptr i64, ptr %args, i64 1
  %places = load ptr, ptr %places.p
  %keys2.p = getelementptr i64, ptr %args, i64 2
  %keys2 = load ptr, ptr %keys2.p
  %places2.p = getelementptr i64, ptr %args, i64 3
  %places2 = load ptr, ptr %places2.p
  %first = mul i64 %chunk, {grain}
  %end = add i64 %first, {grain}
  %last = call i64 @llvm.smin.i64(i64 %end, i64 {rows})
  br label %row
row:
  %r = phi i64 [%first, %entry], [%r.next, %row]
  %at = mul i64 %r, {n}
  %k = getelementptr i64, ptr %keys, i64 %at
  %p = getelementptr i64, ptr %places, i64 %at
  %k2 = getelementptr i64, ptr %keys2, i64 %at
  %p2 = getelementptr i64, ptr %places2, i64 %at
  call void {sort}
  %r.next = add i64 %r, 1
  %more = icmp slt i64 %r.next, %last
  br i1 %more, label %row, label %done
done:
  ret void
}}

define i64 @{name}.nchunks(ptr %args) nounwind {{
  ret i64 {chunks}
}}
"""


def emit_sort(module: Module, name: str, rows: int, n: int) -> str:
    """Add a kernel that sorts `rows` rows of `n` keys. Returns its name.

    Its arguments are the keys, the places (written: for each sorted element where it stood in its row), and room for as
    many keys and places again. The keys are overwritten. Form: `void name(ptr args, i64 chunk, i64 worker)`, with
    `name.nchunks`.
    """
    if rows < 1 or n < 1:
        raise ValueError(f"sort: there must be something to sort, got {rows} rows of {n}")
    short = n <= _SHORT
    grain = max(1, _GRAIN // n)
    module.declarations["llvm.smin.i64"] = "declare i64 @llvm.smin.i64(i64, i64)"
    if short:
        module.functions["tf.sort_short"] = _INSERTION
    else:
        module.declarations["llvm.memset.p0.i64"] = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"
        module.declarations["llvm.memcpy.p0.p0.i64"] = "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"
        module.functions["tf.sort_long"] = _RADIX
    call = f"@tf.sort_short(ptr %k, ptr %p, i64 {n})"
    if not short:
        call = f"@tf.sort_long(ptr %k, ptr %p, ptr %k2, ptr %p2, i64 {n})"
    text = _ROWS.format(name=name, rows=rows, n=n, grain=grain, chunks=-(-rows // grain), sort=call)
    module.functions[name] = text
    return name
