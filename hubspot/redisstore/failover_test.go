package redisstore_test

import (
	"testing"
	"time"
)

// A Redis of several servers loses one, and another takes its place: nobody gets
// another's token, each visitor costs one call before and after, and no page notices.
func TestReplicasThroughAFailover(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		start func(*testing.T) *topology
		lose  func(*server, *testing.T)
		proof bool
	}{
		{"sentinel", startSentinels, (*server).kill, false},
		{"cluster", startCluster, (*server).kill, false},
		{"sentinel, master frozen", startSentinels, (*server).freeze, true},
		{"cluster, master frozen", startCluster, (*server).freeze, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.proof {
				needsProof(t)
			}
			t.Parallel()
			topology := tt.start(t)
			testFailover(t, topology, func() { tt.lose(topology.first, t) })
		})
	}
}

func testFailover(t *testing.T, topology *topology, lose func()) {
	shop := openShop(t, 3, topology.url)
	var all tally

	y := shop.browse(t, shop.visits(0, 150), nil)
	all.add(y)
	mints, _ := shop.wantShared(t, 0, 150, 0)
	t.Logf("before: 150 visitors at 3 replicas, %d mints; %v", mints, y)
	// Records are written behind the back of those who wait for a page, and then
	// copied. Where a write was too late, there is one record less.
	eventually(t, "the records are copied", func() bool { return len(topology.holds(t)) >= 140 })

	// Known visitors stay identified, newcomers are identified by HubSpot.
	var lost time.Time
	y = shop.browse(t, shop.visits(0, 200), func() {
		lose()
		lost = time.Now()
	})
	all.add(y)
	if again := shop.mints(t, 0, 150); again != mints {
		t.Errorf("%d further mints for visitors whom every replica knew", again-mints)
	}
	// A cluster has all but a third of the keys all the time: one visitor proves nothing.
	const probes = 1000
	probe, inARow, back := probes, 0, time.Duration(0)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	eventually(t, "the replicas share again", func() bool {
		<-tick.C
		if inARow == 0 {
			back = time.Since(lost)
		}
		probe++
		inARow++
		for replica := range shop.replicas {
			shop.mustPage(t, replica, probe)
		}
		if shop.mints(t, probe, probe+1) > 1 {
			inARow = 0
		}
		return inARow == 10
	})
	_, failures := shop.storeCounts(t)
	t.Logf("failover: shared again after %v (a server is taken for dead after 1s, the store is left alone for 5s); %d newcomers since, %d mints for them, %d store errors; %v",
		back.Round(time.Millisecond), 50+probe-probes, shop.mints(t, 150, 200)+shop.mints(t, probes, probe+1), failures, y)
	if failures == 0 {
		t.Error("nobody noticed that a server was lost")
	}

	y = shop.browse(t, shop.visits(200, 300), nil)
	all.add(y)
	mints, failures = shop.wantShared(t, 200, 300, failures)
	t.Logf("after: 100 visitors at 3 replicas, %d mints, %d store errors; %v", mints, failures, y)
	t.Logf("in all: %v", &all)
}
