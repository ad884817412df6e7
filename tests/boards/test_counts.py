"""Instructions counted in QEMU, against programs whose number is known."""

import board
import pytest

from tflite import chips
from tflite.errors import UserError

_MAIN = """
__attribute__((noinline)) void mark(void) { __asm__ volatile(""); }
int main(void) {
  __asm__ volatile(CALL " mark\\n" WORK "\\n" CALL " mark\\n" CALL " mark\\n" ::: "memory", CLOBBERS);
  return 3;
}
"""


def counts(chip, call: str, work: str, clobbers: str, folder):
    macros = f'#define CALL "{call}"\n#define WORK {work}\n#define CLOBBERS {clobbers}\n'
    (folder / "main.c").write_text(macros + _MAIN)
    status, output, found = chips.counts(chip, chips.build(chip, folder, ["main.c"]), "mark")
    assert status == 3, output
    return found[0].instructions - found[1].instructions, found[0].words - found[1].words


@pytest.mark.parametrize(
    "work, instructions, words",
    [
        ('"mov r4, #7\\n1: subs r4, r4, #1\\n bne 1b"', 15, 15),
        ('"push {r4-r7}\\n pop {r4-r7}"', 2, 8),
        ('"sub sp, #32\\n stm sp, {r4-r11}\\n ldm sp, {r4-r11}\\n ldrd r4, r5, [sp]\\n add sp, #32"', 5, 20),
        ('"vpush {s0-s3}\\n vpop {s0-s3}\\n vmov r4, r5, s0, s1"', 3, 9),
    ],
)  # fmt: skip
def test_instructions_and_words_on_arm(work, instructions, words, tmp_path):
    chip = chips.CHIPS["cortex-m4f"]
    board.need(*chip.tools)
    clobbers = ", ".join(f'"{name}"' for name in [*(f"r{n}" for n in range(13) if n != 7), "lr"])
    assert counts(chip, "bl", work, clobbers, tmp_path) == (instructions, words)


def test_instructions_on_risc_v(tmp_path):
    chip = chips.CHIPS["rv32imc"]
    board.need(*chip.tools)
    work = '"li t0, 9\\n1: addi t0, t0, -1\\n bnez t0, 1b"'
    assert counts(chip, "jal", work, '"t0", "ra"', tmp_path) == (19, 19)


def test_what_is_missing_or_wrong_is_said(tmp_path, monkeypatch):
    chip = chips.CHIPS["cortex-m4f"]
    board.need(*chip.tools)
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    program = chips.build(chip, tmp_path, ["main.c"])
    with pytest.raises(UserError, match="no function 'mark'"):
        chips.counts(chip, program, "mark")
    (tmp_path / "main.c").write_text("int main(void) { return x; }\n")
    with pytest.raises(UserError, match="undeclared"):
        chips.build(chip, tmp_path, ["main.c"])
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="make boards-setup"):
        chips.run(chip, program)
