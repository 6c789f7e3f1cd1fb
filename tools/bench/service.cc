// The peer of restart.ready: a service that does nothing but say that it is ready.
#include <systemd/sd-daemon.h>

int main() { return sd_notify(0, "READY=1") > 0 ? 0 : 1; }
