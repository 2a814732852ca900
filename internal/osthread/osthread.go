// Package osthread runs functions on one OS thread that they share. A CUDA
// device and a llama.cpp context want to be used from the thread that made them.
package osthread

import (
	"context"
	"errors"
	"runtime"
	"sync"
)

// ErrStopped is returned by Do after Stop.
var ErrStopped = errors.New("osthread: stopped")

// Thread is one OS thread that runs one function at a time, in the order in
// which Do was called. It may be used by any number of goroutines.
type Thread struct {
	jobs chan func()
	quit chan struct{}
	done chan struct{}
	once sync.Once
}

// Start starts the thread.
func Start() *Thread {
	t := &Thread{jobs: make(chan func()), quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		defer close(t.done)
		for {
			select {
			case job := <-t.jobs:
				job()
			case <-t.quit:
				return
			}
		}
	}()
	return t
}

// Do runs f on the thread and returns its error. A context cancels f only while
// it waits for its turn. A panic of f comes back to the caller.
func (t *Thread) Do(ctx context.Context, f func() error) error {
	var err error
	var panicked any
	done := make(chan struct{})
	job := func() {
		defer close(done)
		defer func() { panicked = recover() }()
		err = f()
	}
	select {
	case <-t.quit: // select is random: a stopped thread must never win
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	default:
	}
	select {
	case t.jobs <- job:
	case <-ctx.Done():
		return ctx.Err()
	case <-t.quit:
		return ErrStopped
	}
	<-done
	if panicked != nil {
		panic(panicked)
	}
	return err
}

// Stop waits for the function that runs and ends the thread.
func (t *Thread) Stop() {
	t.once.Do(func() { close(t.quit) })
	<-t.done
}
