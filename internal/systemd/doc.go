// Package systemd speaks the small protocols between a service and the service
// manager that started it: it says how the service does (sd_notify(3)), feeds the
// watchdog (sd_watchdog_enabled(3)), and leaves file descriptors with the manager
// for the next process of the same service (sd_pid_notify_with_fds(3),
// sd_listen_fds(3)).
//
// A descriptor that is left there stays open over a crash, a kill and a restart,
// which is how the level of a GPIO line outlives the process that set it. systemd
// 252 drops it when the service is stopped.
//
// Outside of systemd all of this does nothing and is no error: a program run by
// hand says the same things to nobody.
//
// What systemd passes to a process is read with go-systemd's activation.Files. Its
// SdNotify can send no descriptor, and does not end when the manager does not read;
// here everything is sent with a time limit.
package systemd
