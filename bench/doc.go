// Package bench measures how fast grading runs, and how fast the hardware would
// let it.
package bench
