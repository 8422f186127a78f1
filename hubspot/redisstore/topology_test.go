package redisstore_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// topology is several Redis servers, of which one can be lost.
type topology struct {
	url   string
	first *server                     // a master that has a replica
	data  []*server                   // all but sentinels
	watch []*server                   // sentinels
	holds func(t *testing.T) []string // the keys of all masters
}

// masterName is what the sentinels call their master.
const masterName = "tokens"

// Redis waits for as long until it takes a server for dead: here, to keep the tests
// short, and by default 30 s (sentinels) and 15 s (cluster).
const deadAfter = "1000"

// startSentinels starts a master, its replica, and three sentinels that watch them.
func startSentinels(t *testing.T) *topology {
	t.Helper()
	master := startServer(t, "--repl-diskless-sync-delay", "0")
	replica := startServer(t, "--replicaof", "127.0.0.1 "+master.port)
	var sentinels []*server
	for range 3 {
		conf := filepath.Join(t.TempDir(), "sentinel.conf") // which each writes into
		lines := "sentinel monitor " + masterName + " 127.0.0.1 " + master.port + " 2\n" +
			"sentinel down-after-milliseconds " + masterName + " " + deadAfter + "\n" +
			"sentinel failover-timeout " + masterName + " 5000\n"
		if err := os.WriteFile(conf, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
		sentinels = append(sentinels, startServer(t, conf, "--sentinel"))
	}
	replica.waitForMaster(t)
	for _, s := range sentinels {
		client := redis.NewSentinelClient(clientOptions(s.addr).Simple())
		defer client.Close()
		eventually(t, "a sentinel knows the replica and the other sentinels", func() bool {
			known := client.Master(t.Context(), masterName).Val()
			return known["num-slaves"] == "1" && known["num-other-sentinels"] == "2"
		})
	}
	return &topology{
		url:   sentinels[0].url + "?master_name=" + masterName + "&addr=" + sentinels[1].addr + "&addr=" + sentinels[2].addr,
		first: master,
		data:  []*server{master, replica},
		watch: sentinels,
		holds: func(t *testing.T) []string { return replica.keys(t) }, // as a replica, and then as the master
	}
}

// startCluster starts three masters, which have a third of the slots each, and a
// replica of the first.
func startCluster(t *testing.T) *topology {
	t.Helper()
	ctx := t.Context()
	var nodes []*server
	for range 4 {
		nodes = append(nodes, startServer(t, "--cluster-enabled", "yes", "--cluster-node-timeout", deadAfter, "--repl-diskless-sync-delay", "0"))
	}
	masters, replica := nodes[:3], nodes[3]
	slots := []int{0, 5461, 10923, 16384}
	for i, master := range masters {
		if err := master.rdb.ClusterAddSlotsRange(ctx, slots[i], slots[i+1]-1).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range nodes[1:] {
		if err := nodes[0].rdb.ClusterMeet(ctx, "127.0.0.1", node.port).Err(); err != nil {
			t.Fatal(err)
		}
	}
	first := nodes[0].rdb.ClusterMyID(ctx).Val()
	eventually(t, "the replica is one", func() bool { return replica.rdb.ClusterReplicate(ctx, first).Err() == nil })
	replica.waitForMaster(t)
	for _, node := range nodes {
		eventually(t, "the cluster is whole", func() bool { return clusterWhole(ctx, node.rdb) })
	}
	return &topology{
		url:   nodes[0].url + "?addr=" + nodes[1].addr + "&addr=" + nodes[2].addr,
		first: nodes[0],
		data:  nodes,
		holds: func(t *testing.T) []string {
			return append(append(nodes[1].keys(t), nodes[2].keys(t)...), replica.keys(t)...)
		},
	}
}

// clusterWhole reports whether node knows three masters and a replica, and is sure
// of them: it answers for the others' keys.
func clusterWhole(ctx context.Context, node *redis.Client) bool {
	shards, err := node.ClusterShards(ctx).Result()
	if err != nil || len(shards) != 3 {
		return false
	}
	known := 0
	for _, shard := range shards {
		known += len(shard.Nodes)
	}
	err = node.Get(ctx, "any").Err()
	return known == 4 && (err == redis.Nil || redis.HasErrorPrefix(err, "MOVED"))
}

// waitForMaster returns when s copies another server.
func (s *server) waitForMaster(t *testing.T) {
	t.Helper()
	eventually(t, "the replica copies its master", func() bool {
		return strings.Contains(s.rdb.Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
}
