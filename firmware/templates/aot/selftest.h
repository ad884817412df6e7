
/* Runs @GOLDENS@ inputs and gives back how many output values differ from the reference's: 0 is right. */
#define @MACRO@_GOLDENS @GOLDENS@
long @PREFIX@_selftest(void *arena);

/* As the self-test; `first` takes the first difference: number of the input, number of its output, the
 * expected value and the one found. It may be a null pointer. */
long @PREFIX@_compare(void *arena, long first[4]);
