
const char *const @PREFIX@_labels[@MACRO@_OUTPUT_SIZE] = {
@LABEL_ROWS@
};
