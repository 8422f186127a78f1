package redisstore_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// What a child, which is this test binary again, shall be.
const (
	roleVariable = "REDISSTORE_TEST_ROLE"
	roleReplica  = "replica"
	roleKeeper   = "keeper" // of a process that does not look at its stdin
)

// child is a process that ends when its stdin closes: when the test ends it, and
// also when the test itself dies.
type child struct {
	ready string        // the line it wrote when it was
	ended chan struct{} // closed when it has ended, with err
	err   error

	stdin io.Closer
	log   lockedBuffer
}

// startChild starts this test binary in a role and returns when it has written
// its first line. It is ended with the test at the latest.
func startChild(t *testing.T, role string, args, env []string) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{ended: make(chan struct{})}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role,
		"GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0") // the detector's default is a second
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = &c.log
	cmd.WaitDelay = 5 * time.Second
	if c.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slow := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	slow.Stop()
	c.ready = strings.TrimSpace(line)
	go func() {
		c.err = cmd.Wait()
		close(c.ended)
	}()
	t.Cleanup(func() { c.end(t) })
	if err != nil {
		c.end(t)
		t.Fatalf("the %s did not start: %v\n%s", role, err, c.log.String())
	}
	return c
}

// end ends the child and makes sure that it went well: a replica in which the
// race detector found something does not.
func (c *child) end(t *testing.T) {
	t.Helper()
	_ = c.stdin.Close()
	<-c.ended
	if c.err != nil {
		t.Errorf("a child: %v\n%s", c.err, c.log.String())
		c.err = nil // once is enough
	}
}

func (c *child) alive() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// untilStdinCloses returns when the parent closes this child's stdin or dies.
func untilStdinCloses() { _, _ = io.Copy(io.Discard, os.Stdin) }

// keep runs a command until stdin closes, and then ends it with SIGKILL. Its line of
// output is the command's process ID.
func keep(command []string) (exitCode int) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
		return 1
	}
	fmt.Println(cmd.Process.Pid)
	go func() {
		untilStdinCloses()
		_ = cmd.Process.Kill()
	}()
	_ = cmd.Wait() // it was killed, or told the log why it ended
	return 0
}

// lockedBuffer is a bytes.Buffer that can be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// eventually waits until ok reports true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}
