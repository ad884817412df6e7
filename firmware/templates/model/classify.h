@LABELS_DECLARATION@
/* As @PREFIX@_predict; returns the index of the winning class, or -1 on failure.
 * `scores` takes @MACRO@_OUTPUT_SIZE values, or is NULL. */
int @PREFIX@_classify(const float *input, float *scores);
