// Package arch holds the test of which package may import which. The rules are
// those of docs/architecture.md.
package arch
