
void @PREFIX@_reset(void *arena) {
@STATES@
}
