// Package soak says how long fault tests run, and with which faults.
package soak

import (
	"os"
	"strconv"
)

// Count returns how often a fault test repeats its fault: short in every test
// run, long if SOAK is set in the environment to anything but 0.
func Count(short, long int) int {
	if s := os.Getenv("SOAK"); s != "" && s != "0" {
		return long
	}
	return short
}

// Seed returns what random faults are drawn from: SOAK_SEED of the environment,
// or 1. Equal seeds give equal faults.
func Seed() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("SOAK_SEED"), 10, 64); err == nil {
		return n
	}
	return 1
}
