package redisstore_test

import (
	"os"
	"testing"

	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"
)

// TestMain runs the tests or, in a process that they started, what they started
// it for (see startChild).
func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "":
		logging.Disable() // go-redis prints every connection that it does not get
		goleak.VerifyTestMain(m)
	case roleReplica:
		os.Exit(serveReplica())
	case roleKeeper:
		os.Exit(keep(os.Args[1:]))
	default:
		os.Exit(2)
	}
}
