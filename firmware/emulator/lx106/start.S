/* After reset QEMU's `sim` machine begins here: a stack, exceptions off, then picolibc's own start. */
    .section .reset, "ax"
    .global reset
reset:
    j       go
    .align  4
stack_end: .word __stack
start:     .word _start
    .align  4
go: movi    a2, 0
    wsr     a2, ps
    rsync
    l32r    a1, stack_end
    l32r    a0, start
    jx      a0
