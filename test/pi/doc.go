// Package pi proves latchd on an emulated Raspberry Pi: a real Linux kernel, a
// real systemd, the real package, and the GPIO registers of the processor, read
// from outside. It holds nothing but tests, and these run only under
//
//	make e2e
//
// which makes the image (image.sh), the package and the hub's programs first.
//
// There are two boards, with the same card in them, which run side by side.
// board3B is a Raspberry Pi 3 Model B with its pinctrl-bcm2835; it takes more than
// a minute to boot, so it has the life of a device and one reboot. boardVirt is a
// generic arm64 board that boots three times as fast; its GPIO chip is a PL061
// whose lines bear the same names, and it has what is left: damage, clocks, and
// pulling the plug. Neither has a battery clock: a guest boots in the past, as a
// Pi does, and gets its time over SNTP from a server of the test's, whose time the
// test chooses. The program for the Pi Zero has no board; see zero_test.go.
//
// What the tests hold on to:
//
//   - Level and direction of a line are read from outside, from the registers,
//     and every change of either is in the kernel's own trace. What the agent
//     says about its line proves nothing about the line.
//   - A reboot is another boot id. Pulling the plug is the end of the emulator
//     in the middle of whatever it does.
//   - The guest talks to nobody but the test: its hub, its time server and its
//     operator are on the host's loopback.
//   - Nothing outlives a run. Every process dies with the thread that started
//     it, and what a killed run left on the disk the next one sweeps away.
//
// What it is not: a judgement of speed (software emulation is some ten times
// slower than a Pi), and a test of the SoC's electrical side. On Board3B QEMU
// raises no interrupt for an edge at an input, so that there the agent lives on
// its slow polling of inputs alone.
package pi
