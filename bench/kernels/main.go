// Command kernels measures package kernels: every operation with each of its
// forms, from the plain reference to the GPU's, on the cases that its tests use.
//
//	make bench-kernels ARGS='-op minhash -repeats 3'
//	bench-kernels -json results.jsonl -device 0
//
// What the machine does at most, bytes from memory and float32 operations a
// second, is measured at the beginning, so that each form's speed is also a share of
// it. Every form's result is checked, and its digest is the same in every repeat or
// the run fails. With -dump DIR the data and the results are written as NumPy
// files, for peers.py to measure other libraries on.
//
// A line of the JSON file is a machine or a row; see those types. GPU forms need
// libwinnow-kernels.so and a device; emulated devices are not measured.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"time"
)

// version is set by the Makefile.
var version = "unversioned"

// settings are the command line.
type settings struct {
	op       string
	pattern  *regexp.Regexp
	repeats  int
	limit    time.Duration
	jsonPath string
	dumpDir  string
	device   string
	list     bool
}

func parse(args []string, stderr io.Writer) (s settings, err error) {
	flags := flag.NewFlagSet("bench-kernels", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.op, "op", "", "only the operation `NAME`")
	pattern := flags.String("case", "", "only cases that match the regular expression `RE`")
	flags.IntVar(&s.repeats, "repeats", 5, "measure each form `N` times at most")
	flags.DurationVar(&s.limit, "limit", 8*time.Second, "begin no further repeat of a form after `TIME`")
	flags.StringVar(&s.jsonPath, "json", "", "write JSON lines to `FILE`")
	flags.StringVar(&s.dumpDir, "dump", "", "write data and results to the folder `DIR`, for peers.py")
	flags.StringVar(&s.device, "device", "auto", "`auto|off|N`: the GPU if there is one, none, or the Nth and fail without it")
	flags.BoolVar(&s.list, "list", false, "list the cases and measure nothing")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	switch {
	case flags.NArg() > 0:
		return s, fmt.Errorf("unknown argument %q", flags.Arg(0))
	case s.repeats < 1:
		return s, fmt.Errorf("-repeats %d: want at least 1", s.repeats)
	}
	if s.pattern, err = regexp.Compile(*pattern); err != nil {
		return s, fmt.Errorf("-case: %w", err)
	}
	return s, nil
}

func main() {
	s, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-kernels:", err)
		os.Exit(2)
	}
	if err := run(s, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench-kernels:", err)
		os.Exit(1)
	}
}

// run measures what the settings ask for: a table to stdout, JSON lines to a file,
// talk to stderr.
func run(s settings, stdout, stderr io.Writer) (err error) {
	var chosen []subject
	for _, one := range subjects() {
		if (s.op == "" || s.op == one.op) && s.pattern.MatchString(one.name) {
			chosen = append(chosen, one)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no case of operation %q matches %q; -list shows all", s.op, s.pattern)
	}
	if s.list {
		for _, one := range chosen {
			if _, err := fmt.Fprintf(stdout, "%-10s %s\n", one.op, one.name); err != nil {
				return err
			}
		}
		return nil
	}
	r := &report{table: newTable(stdout), talk: stderr}
	if s.jsonPath != "" {
		f, err := os.Create(s.jsonPath)
		if err != nil {
			return fmt.Errorf("writing results: %w", err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		r.lines = json.NewEncoder(f)
	}
	var d *dumper
	if s.dumpDir != "" {
		if d, err = newDumper(s.dumpDir); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.Close()) }()
	}
	dev, why, err := openDevice(s.device)
	if err != nil {
		return err
	}
	if dev != nil {
		defer func() { err = errors.Join(err, dev.Close()) }()
	}
	if err := r.begin(newMachine(dev, why)); err != nil {
		return err
	}
	var failed []error
	for _, one := range chosen {
		if err := r.measure(one, dev, s, d); err != nil {
			err = fmt.Errorf("%s, %s: %w", one.op, one.name, err)
			if !errors.Is(err, errWrong) {
				return err
			}
			failed = append(failed, err)
		}
		runtime.GC() // the next case's data may need the room of this one's
	}
	return errors.Join(failed...)
}
