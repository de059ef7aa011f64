// Tells a service manager how the process fares: sd_notify(3)'s datagrams to $NOTIFY_SOCKET, without its library. Does
// nothing where nobody listens.
#ifndef WEIR_HOST_NATIVE_SERVICE_H
#define WEIR_HOST_NATIVE_SERVICE_H

void service_ready(void);
// A reload begins; service_ready follows in any case.
void service_reloading(void);
void service_stopping(void);
// Another process goes on as the service.
void service_handed_over(int pid);

#endif
