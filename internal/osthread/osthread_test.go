package osthread

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
)

func TestDo_oneThread(t *testing.T) {
	th := Start()
	defer th.Stop()
	var mu sync.Mutex
	ids := map[int]int{}
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if err := th.Do(context.Background(), func() error {
				mu.Lock()
				defer mu.Unlock()
				ids[syscall.Gettid()]++
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(ids) != 1 {
		t.Errorf("32 jobs ran on %d threads, want 1", len(ids))
	}
}

func TestDo_errorsPanicsAndStop(t *testing.T) {
	th := Start()
	want := errors.New("no")
	if err := th.Do(context.Background(), func() error { return want }); err != want {
		t.Errorf("got %v, want the function's error", err)
	}
	func() {
		defer func() {
			if recover() != "boom" {
				t.Error("the panic did not come back")
			}
		}()
		_ = th.Do(context.Background(), func() error { panic("boom") })
	}()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := th.Do(ctx, func() error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before its turn: got %v", err)
	}
	th.Stop()
	th.Stop()
	if err := th.Do(context.Background(), func() error { return nil }); !errors.Is(err, ErrStopped) {
		t.Errorf("after Stop: got %v", err)
	}
}
