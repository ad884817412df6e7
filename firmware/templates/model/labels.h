
/* Names of the classes in the order of the outputs, UTF-8. */
extern const char *const @PREFIX@_labels[@MACRO@_OUTPUT_SIZE];
