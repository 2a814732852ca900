package child

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"winnow/grader"
	"winnow/grader/journal"
	"winnow/grader/record"
)

// Group is several engines over one queue, each in a process of its own, usually
// one a device. It is a grader.Engine, and its methods may be called as that says.
//
// They are one judge: their manifests are equal but for the kind of the device,
// and that of the group names all kinds. A batch goes to whichever engine is free;
// one that restarts its process, or looks for the record that ends it, holds up its
// own batches alone. An engine that is broken for good is left out from then on,
// with a warning, and its batches are rated by others; when the last one breaks,
// the error is its *Error.
type Group struct {
	log      *slog.Logger
	members  []*member
	manifest journal.Manifest
	capacity grader.Capacity
	free     chan *member // as often as it has lanes, but for those at work
	next     atomic.Uint64

	mu      sync.Mutex
	alive   int
	last    error         // of the engine that broke last
	allDead chan struct{} // closed when no engine is left
}

// member is an engine of a group.
type member struct {
	*Engine
	name string
	dead atomic.Bool // it is broken for good
}

// Member says how an engine of a group is started.
type Member struct {
	Name    string // of its devices, for messages
	Options Options
}

// StartGroup starts all engines side by side and waits until they are open. Those
// that cannot be started are left out with a warning, unless that is so for all.
func StartGroup(ctx context.Context, list []Member, log *slog.Logger) (*Group, error) {
	if len(list) == 0 {
		return nil, errors.New("a group of no engines")
	}
	if log == nil {
		log = slog.Default()
	}
	engines, errs := make([]*Engine, len(list)), make([]error, len(list))
	one := newRelay(log) // what all say of their model is told once
	var starts sync.WaitGroup
	for i, m := range list {
		o := m.Options
		o.Log, o.relay = log, one
		starts.Go(func() { engines[i], errs[i] = Start(ctx, o) })
	}
	starts.Wait()
	g := &Group{log: log, allDead: make(chan struct{})}
	for i, e := range engines {
		if e != nil {
			g.members = append(g.members, &member{Engine: e, name: list[i].Name})
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	if len(g.members) == 0 {
		return nil, errs[0]
	}
	for i, err := range errs {
		if err != nil {
			log.Warn("an engine cannot be started: the others do its work", "device", list[i].Name, "error", err)
		}
	}
	if err := g.join(); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// join makes one judge of the members.
func (g *Group) join() error {
	first := g.members[0]
	g.manifest, g.capacity = first.Manifest(), first.Capacity()
	g.capacity.Lanes = 0
	kinds := []string{}
	for _, m := range g.members {
		theirs, room := m.Manifest(), m.Capacity()
		if !slices.Contains(kinds, theirs.Runtime.Device) {
			kinds = append(kinds, theirs.Runtime.Device)
		}
		theirs.Runtime.Device = g.manifest.Runtime.Device
		if diffs := g.manifest.Differences(theirs); len(diffs) > 0 {
			return fmt.Errorf("the engines on %s and %s are not one judge: %s", first.name, m.name, strings.Join(diffs, "; "))
		}
		g.capacity.Tokens = min(g.capacity.Tokens, room.Tokens)
		g.capacity.Most = min(g.capacity.Most, room.Most)
		g.capacity.Prompts = min(g.capacity.Prompts, room.Prompts)
		g.capacity.Lanes += max(1, room.Lanes)
	}
	slices.Sort(kinds) // whichever comes first
	g.manifest.Runtime.Device = strings.Join(kinds, " + ")
	g.alive = len(g.members)
	g.free = make(chan *member, g.capacity.Lanes)
	for lane := 0; len(g.free) < cap(g.free); lane++ { // in turns, so that all get work at once
		for _, m := range g.members {
			if lane < max(1, m.Capacity().Lanes) {
				g.free <- m
			}
		}
	}
	return nil
}

// Manifest implements grader.Engine.
func (g *Group) Manifest() journal.Manifest { return g.manifest }

// Capacity implements grader.Engine. A batch may hold what the engine with the
// least room takes; as many are rated at a time as all engines rate together.
func (g *Group) Capacity() grader.Capacity { return g.capacity }

// Rate implements grader.Engine.
func (g *Group) Rate(ctx context.Context, batch []*grader.Prompt, out []grader.Outcome) (grader.Work, error) {
	for {
		m, err := g.take(ctx)
		if err != nil {
			return grader.Work{}, err
		}
		w, err := m.Rate(ctx, batch, out)
		if !broken(err) {
			g.free <- m
			return w, err
		}
		g.bury(m, err)
	}
}

// take waits for a free engine that is not broken.
func (g *Group) take(ctx context.Context) (*member, error) {
	for {
		select {
		case m := <-g.free:
			if m.dead.Load() {
				continue // one of its lanes found out; the others are not given back
			}
			return m, nil
		case <-g.allDead:
			return nil, g.last
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// broken reports whether an error of an engine means that it starts no process any
// more.
func broken(err error) bool { return errors.As(err, new(*Error)) }

// bury leaves an engine out from now on.
func (g *Group) bury(m *member, err error) {
	if m.dead.Swap(true) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.alive--
	g.last = err
	if g.alive == 0 {
		close(g.allDead)
		return
	}
	g.log.Warn("an engine is broken: the others do its work", "device", m.name, "left", g.alive, "error", err)
}

// Encode implements grader.Engine. It takes the engines in turns, those that are
// in no trouble before others.
func (g *Group) Encode(rec *record.Record, p *grader.Prompt) error {
	for {
		m := g.encoder()
		if m == nil {
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.last
		}
		err := m.Encode(rec, p)
		if !broken(err) {
			return err
		}
		g.bury(m, err)
	}
}

// encoder returns the engine whose turn it is, or nil if all are broken.
func (g *Group) encoder() *member {
	turn := int(g.next.Add(1) % uint64(len(g.members)))
	var other *member
	for i := range g.members {
		m := g.members[(turn+i)%len(g.members)]
		if m.dead.Load() {
			continue
		}
		if m.ready.Load().alive() && m.turn.TryRLock() {
			m.turn.RUnlock()
			return m
		}
		if other == nil {
			other = m
		}
	}
	return other
}

// Close closes all engines, also those that are broken. It may be called twice.
func (g *Group) Close() error {
	errs := make([]error, len(g.members))
	var closes sync.WaitGroup
	for i, m := range g.members {
		closes.Go(func() { errs[i] = m.Close() })
	}
	closes.Wait()
	return errors.Join(errs...)
}
