// Package seldom logs what goes wrong again with every request once a minute, or
// once, so that an operator reads it and the log stays readable.
package seldom

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/flight"
)

// Logger logs to another one. It may be used concurrently.
type Logger struct {
	To *slog.Logger // nil for what slog.Default() is then

	mu   sync.Mutex
	last map[key]time.Time // when each was last logged at its own level
	said sync.Map          // the messages of Once
}

type key struct {
	kind  string
	level slog.Level
}

// New is a Logger that logs to another one; to slog.Default() if that is nil.
func New(to *slog.Logger) *Logger {
	return &Logger{To: to, last: make(map[key]time.Time)}
}

// Seldom logs message at level if nothing of its kind was at that level within
// the last minute, and at Debug level otherwise. There should be few kinds: each
// is remembered.
func (l *Logger) Seldom(ctx context.Context, level slog.Level, kind, message string, attrs ...slog.Attr) {
	l.mu.Lock()
	now := time.Now()
	if last, ok := l.last[key{kind, level}]; ok && now.Sub(last) < time.Minute {
		level = slog.LevelDebug
	} else {
		l.last[key{kind, level}] = now
	}
	l.mu.Unlock()
	l.Log(ctx, level, message, attrs...)
}

// Once logs message, and says that it does not again: a mistake in an application's
// set-up, which every page would repeat.
func (l *Logger) Once(ctx context.Context, level slog.Level, message string) {
	if _, again := l.said.LoadOrStore(message, true); !again && !l.Log(ctx, level, message+" (said once)") {
		l.said.Delete(message)
	}
}

// Log logs message. A slog.Handler, which is the application's, that panics or calls
// runtime.Goexit harms nobody but the line: then Log reports false.
func (l *Logger) Log(ctx context.Context, level slog.Level, message string, attrs ...slog.Attr) (ok bool) {
	return flight.Run(func() { cmp.Or(l.To, slog.Default()).LogAttrs(ctx, level, message, attrs...) }) == nil
}

// Panicked logs that a function of the application's did, as message says. The
// panic's value is logged only if it is the runtime's: others may quote a visitor.
func (l *Logger) Panicked(ctx context.Context, message string, p *flight.PanicError) {
	l.Seldom(ctx, slog.LevelError, message, message, slog.String("panic", p.Error()), slog.String("stack", string(p.Stack)))
}

// Recover ends a panic of the application's function that follows, and logs it.
// It is to be deferred.
func (l *Logger) Recover(ctx context.Context, message string) {
	if p := recover(); p != nil {
		l.Panicked(ctx, message, flight.Panicked(p))
	}
}
