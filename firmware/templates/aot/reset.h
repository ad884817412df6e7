
/* An inference depends on those before it: the first @STATE_BYTES@ bytes of the arena last between them and must be
 * left alone. Before the first inference, and for a new beginning: */
void @PREFIX@_reset(void *arena);
