/* What the functions of a generated model library return. */
#ifndef TSD_STATUS_H
#define TSD_STATUS_H

typedef enum tsd_status {
  TSD_OK = 0,
  TSD_NOT_BEGUN = 1,   /* the model was used before its begin function had succeeded */
  TSD_BAD_SCHEMA = 2,  /* the model's schema version is not the one the interpreter reads */
  TSD_NO_OPERATOR = 3, /* the interpreter refused an operator */
  TSD_NO_MEMORY = 4,   /* the tensors could not be allocated in the arena */
  TSD_BAD_TENSOR = 5,  /* the interpreter's input or output is not what the exporter saw */
  TSD_FAILED_RUN = 6,  /* the interpreter stopped in the middle of an inference */
  TSD_MISMATCH = 7     /* self-test: an output byte differs from the golden one */
} tsd_status;

#endif /* TSD_STATUS_H */
