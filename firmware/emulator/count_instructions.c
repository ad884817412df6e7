/* A plugin of QEMU that counts the instructions a guest executes, exactly.
 *
 *   cc -O2 -shared -fPIC count_instructions.c -o count.so
 *   qemu-system-arm .. -plugin ./count.so,mark=0x123,out=counts.txt,thumb=on
 *
 * Each time the guest reaches the address `mark`, a line is written to `out`: the instructions so
 * far, and the words beyond the first that LDM, STM, LDRD, STRD, PUSH, POP, VLDM and VSTM among
 * them moved (0 without thumb=on). The difference of two lines is what was executed between the
 * marks. QEMU 4.2 to 8; its header is seldom packaged, so what is used of it is declared here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;
extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
                                                  void (*callback)(uint64_t,
                                                                   struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
                                                   void (*callback)(unsigned, void *), int flags,
                                                   void *data);
extern void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int operation,
                                                       void *to, uint64_t value);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block,
                                                        size_t index);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);

#define PUBLIC __attribute__((visibility("default")))
enum { NO_REGISTERS = 0, ADD = 0 };
PUBLIC int qemu_plugin_version = 1;

static uint64_t instructions, words, mark_address = UINT64_MAX;
static int thumb;
static FILE *out;

static void at_mark(unsigned cpu, void *data) {
  (void)cpu;
  (void)data;
  fprintf(out, "%" PRIu64 " %" PRIu64 "\n", instructions, words);
  fflush(out);
}

static unsigned bits(unsigned mask) { return (unsigned)__builtin_popcount(mask); }

/* Words that a Thumb instruction moves at once; 0 for those that are no multiple loads or stores.
 */
static unsigned moved(const uint8_t *code, size_t size) {
  const unsigned first = code[0] | (unsigned)code[1] << 8;
  if (size == 2) {
    if ((first & 0xF600) == 0xB400) return bits(first & 0x1FF); /* PUSH, POP */
    if ((first & 0xF000) == 0xC000) return bits(first & 0xFF);  /* STM, LDM */
    return 0;
  }
  const unsigned second = code[2] | (unsigned)code[3] << 8;
  if ((first & 0xFE40) == 0xE800) return bits(second); /* STM, LDM, PUSH, POP */
  if ((first & 0xFE40) == 0xE840)
    return (first & 0x0120) ? 2 : 0; /* STRD, LDRD; else exclusives, TBB */
  if ((first & 0xFE00) == 0xEC00 && (second & 0x0E00) == 0x0A00) { /* floating point registers */
    const unsigned mode =
        (first >> 5 & 1) | (first >> 7 & 1) << 1 | (first >> 8 & 1) << 2; /* P U W */
    if (mode == 0) return 0;                               /* VMOV of two registers */
    if ((mode & 5) == 4) return (second & 0x0100) ? 2 : 1; /* VLDR, VSTR */
    return second & 0xFF;                                  /* VLDM, VSTM, VPUSH, VPOP */
  }
  return 0;
}

static void translated(uint64_t id, struct qemu_plugin_tb *block) {
  (void)id;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); ++i) {
    struct qemu_plugin_insn *const insn = qemu_plugin_tb_get_insn(block, i);
    const unsigned many =
        thumb ? moved(qemu_plugin_insn_data(insn), qemu_plugin_insn_size(insn)) : 0;
    qemu_plugin_register_vcpu_insn_exec_inline(insn, ADD, &instructions, 1);
    if (many > 1) qemu_plugin_register_vcpu_insn_exec_inline(insn, ADD, &words, many - 1);
    if (qemu_plugin_insn_vaddr(insn) == mark_address) {
      qemu_plugin_register_vcpu_insn_exec_cb(insn, at_mark, NO_REGISTERS, NULL);
    }
  }
}

PUBLIC int qemu_plugin_install(uint64_t id, const void *info, int count, char **options) {
  (void)info;
  for (int i = 0; i < count; ++i) {
    if (strncmp(options[i], "mark=", 5) == 0) mark_address = strtoull(options[i] + 5, NULL, 0);
    if (strncmp(options[i], "out=", 4) == 0) out = fopen(options[i] + 4, "w");
    if (strcmp(options[i], "thumb=on") == 0) thumb = 1;
  }
  if (out == NULL || mark_address == UINT64_MAX) {
    fprintf(stderr, "count_instructions: give mark=ADDRESS and out=FILE\n");
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  return 0;
}
