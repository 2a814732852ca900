package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// strikeCmd runs "strike WHO FILE BYTES": as soon as the file has more than so
// many bytes, WHO gets SIGKILL: "engine", the process of the engine that the
// program in the background has started, or "program", the program itself, whose
// engine must then be gone within two seconds.
func strikeCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || args[0] != "engine" && args[0] != "program" || len(ts.BackgroundCmds()) != 1 {
		ts.Fatalf("usage: strike engine|program file bytes, with one program in the background")
	}
	size, err := strconv.ParseInt(args[2], 10, 64)
	ts.Check(err)
	path, program := ts.MkAbs(args[1]), ts.BackgroundCmds()[0].Process
	waitFor(ts, time.Minute, fmt.Sprintf("%s has more than %d bytes", args[1], size), func() bool {
		info, err := os.Stat(path)
		return err == nil && info.Size() > size
	})
	engines := childrenOf(ts, program.Pid)
	if len(engines) != 1 {
		ts.Fatalf("the program has %d processes, want the engine's", len(engines))
	}
	if args[0] == "engine" {
		ts.Check(syscall.Kill(engines[0], syscall.SIGKILL))
		return
	}
	ts.Check(program.Kill())
	waitFor(ts, 2*time.Second, "the engine's process is gone", func() bool {
		stat, err := processStat(engines[0])
		return err != nil || stat.state == "Z" || stat.state == "X"
	})
}

func waitFor(ts *testscript.TestScript, d time.Duration, what string, holds func() bool) {
	for deadline := time.Now().Add(d); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("after %v it is still not so that %s", d, what)
		}
	}
}

// childrenOf returns the processes that a process has started.
func childrenOf(ts *testscript.TestScript, parent int) []int {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	ts.Check(err)
	var children []int
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		ts.Check(err)
		if stat, err := processStat(pid); err == nil && stat.parent == parent && stat.state != "Z" {
			children = append(children, pid)
		}
	}
	return children
}

type stat struct {
	state  string
	parent int
}

// processStat reads what /proc says of a process.
func processStat(pid int) (stat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	_, rest, ok := bytes.Cut(b, []byte(") "))
	fields := strings.Fields(string(rest))
	if !ok || len(fields) < 2 {
		return stat{}, fmt.Errorf("process %d: %q", pid, b)
	}
	parent, err := strconv.Atoi(fields[1])
	return stat{fields[0], parent}, err
}
