// Package browser tests the page of make play in a real browser: Debian's
// Chromium, without a window. It is no part of make test, because a machine
// need not have a browser: make play-test installs one.
package browser
