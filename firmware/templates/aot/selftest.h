
/* Runs @GOLDENS@ inputs and gives back how many output values differ from the reference's: 0 is right. */
#define @MACRO@_GOLDENS @GOLDENS@
long @PREFIX@_selftest(void *arena);
