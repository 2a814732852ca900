package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// stat is what /proc says of a process.
type stat struct {
	state  byte // such as 'R'
	parent int
}

// ended reports whether the process is no more than a number.
func (s stat) ended() bool { return s.state == 'Z' || s.state == 'X' }

func processStat(pid int) (s stat, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s, err
	}
	rest := string(b[bytes.LastIndexByte(b, ')')+1:]) // the name before may hold anything
	if _, err := fmt.Sscanf(rest, " %c %d", &s.state, &s.parent); err != nil {
		return s, fmt.Errorf("process %d: %q: %w", pid, b, err)
	}
	return s, nil
}

// descendants returns the processes below a process: its children, theirs, and
// so on.
func descendants(pid int) []int {
	parents := map[int]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is sound
	for _, path := range stats {
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if s, err := processStat(child); err == nil {
			parents[child] = s.parent
		}
	}
	var found []int
	for next := []int{pid}; len(next) > 0; {
		parent := next[0]
		next = next[1:]
		for child, p := range parents {
			if p == parent && !slices.Contains(found, child) {
				found, next = append(found, child), append(next, child)
			}
		}
	}
	slices.Sort(found)
	return found
}
