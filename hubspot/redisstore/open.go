package redisstore

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Open returns a Store in the Redis at a URL. Its client has the options
// explained in the package documentation. The forms of the URL are go-redis's:
//
//	redis://user:password@host:6379/0          a server, and the number of a database
//	unix:///run/redis/redis.sock?db=0          a server's socket
//	redis://host1?addr=host2&addr=host3:6380   a cluster, by some of its nodes
//	redis+cluster://host                       a cluster, by one address
//	redis://host1?addr=host2&master_name=name  the server that sentinels call name
//
// The default port is 6379, or 26379 for sentinels. Optional parts may be left
// out. With rediss:// and rediss+cluster:// connections use TLS: every node's
// certificate has to be valid for the URL's host, unless skip_verify=true accepts
// any. With sentinels, the user and password before the @ are the sentinels', and
// the parameters username and password are the server's. All of these have to be
// percent-encoded. Surrounding white space is ignored.
//
// Open does not connect: a server that is down is no reason not to start. Its
// error joins all problems; it names parts of the URL but never quotes them.
func Open(rawURL string) (*Store, error) {
	options, err := parse(strings.TrimSpace(rawURL))
	if err != nil {
		return nil, err
	}
	return &Store{redis.NewUniversalClient(options)}, nil
}

// options are right for a Store, as the package documentation explains.
func options() *redis.UniversalOptions {
	return &redis.UniversalOptions{
		ContextTimeoutEnabled: true,
		MaxRetries:            -1,
		DialTimeout:           500 * time.Millisecond,
		DialerRetries:         1,
		ReadTimeout:           500 * time.Millisecond,
	}
}

// parameters are those that a URL may have: where the Redis is, and who asks. The
// client's options are not the operator's to choose.
var parameters = []string{"addr", "db", "master_name", "password", "skip_verify", "username"}

// parse does what go-redis's ParseURL, ParseClusterURL and ParseFailoverURL do.
// Their errors quote the URL, in which a piece of a password can be anywhere if it
// was not percent-encoded, and what they have no use for they pass over.
func parse(rawURL string) (*redis.UniversalOptions, error) {
	u, query, err := split(rawURL)
	if err != nil {
		return nil, err
	}
	var errs problems
	errs.checkParameters(query)
	scheme, cluster := strings.CutSuffix(u.Scheme, "+cluster")
	o, port := options(), "6379"
	o.MasterName = query.Get("master_name")
	o.IsClusterMode = cluster || query.Has("addr") && o.MasterName == ""
	o.Username = u.User.Username()
	o.Password, _ = u.User.Password()
	if o.MasterName == "" {
		errs.check(!query.Has("username") && !query.Has("password"), "its parameters username and password are for a server behind sentinels; otherwise they go before an @")
	} else {
		errs.check(!cluster, "its parameter master_name is for sentinels, which a cluster does not have")
		port = "26379"
		o.SentinelUsername, o.SentinelPassword = o.Username, o.Password
		o.Username, o.Password = query.Get("username"), query.Get("password")
	}

	database := cmp.Or(query.Get("db"), strings.Trim(u.Path, "/"))
	if scheme == "unix" {
		errs.check(u.Host == "" && u.Path != "" && !query.Has("addr") && o.MasterName == "", "with unix:// it names one socket: a path after three slashes, and no addr or master_name")
		o.Addrs, database = []string{u.Path}, query.Get("db")
	} else {
		o.Addrs = errs.addresses(u, query["addr"], port)
	}
	if database != "" {
		errs.check(!o.IsClusterMode, "a cluster has no databases, and it has a path or the parameter db")
		o.DB, err = strconv.Atoi(database)
		errs.check(err == nil && o.DB >= 0, "its path, or its parameter db, is not the number of a database")
	}

	skip := query.Get("skip_verify")
	errs.check(skip == "" || skip == "true" || skip == "false", "its parameter skip_verify has to be true or false")
	errs.check(skip == "" || scheme == "rediss", "its parameter skip_verify is for rediss://")
	if scheme == "rediss" {
		o.TLSConfig = &tls.Config{ServerName: u.Hostname(), InsecureSkipVerify: skip == "true"}
	}
	return o, errors.Join(errs...)
}

// split takes a URL to pieces. Where it cannot, it says which piece is to blame.
func split(rawURL string) (*url.URL, url.Values, error) {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok || !slices.Contains([]string{"redis", "rediss", "redis+cluster", "rediss+cluster", "unix"}, scheme) {
		return nil, nil, problem("it has to begin with redis://, rediss://, redis+cluster://, rediss+cluster:// or unix://")
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host, rest := rest[:end], rest[end:]
	host = host[strings.LastIndex(host, "@")+1:]
	parses := func(s string) bool { _, err := url.Parse(s); return err == nil }
	u, err := url.Parse(rawURL)
	switch {
	case strings.ContainsAny(rest, "@#"), err != nil && parses("redis://"+host+rest):
		return nil, nil, problem("its user name and password, or a parameter, are not percent-encoded")
	case err != nil && !parses("redis://"+host), err == nil && !isAddress(u):
		return nil, nil, problem("its host and port are malformed; further hosts are parameters named addr")
	case err != nil:
		return nil, nil, problem("its path is malformed")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, nil, problem("its parameters are not percent-encoded")
	}
	return u, query, nil
}

// isAddress reports whether u's host is one, and not several as other clients write
// them, and its port can be connected to.
func isAddress(u *url.URL) bool {
	if port, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || port == 0) {
		return false
	}
	return strings.HasPrefix(u.Host, "[") || !strings.ContainsAny(u.Hostname(), ",:")
}

func problem(what string) error { return errors.New("redisstore: the URL is not one to use: " + what) }

type problems []error

func (p *problems) check(ok bool, what string) {
	if !ok {
		*p = append(*p, problem(what))
	}
}

func (p *problems) checkParameters(query url.Values) {
	known := 0
	for _, name := range parameters {
		values, ok := query[name]
		if !ok {
			continue
		}
		known++
		p.check(len(values) == 1 || name == "addr", "its parameter "+name+" is there more than once")
		p.check(!slices.Contains(values, ""), "its parameter "+name+" is empty")
	}
	// Others are not named: they may be the rest of a password with an &.
	p.check(known == len(query), "it has a parameter that is none of "+strings.Join(parameters, ", ")+"; New takes a client with other options")
}

// addresses are u's host and the parameters addr, each with its port or else port.
func (p *problems) addresses(u *url.URL, addrs []string, port string) []string {
	p.check(u.Hostname() != "", "it names no host")
	all := []string{net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port))}
	for _, addr := range addrs {
		a, err := url.Parse("redis://" + addr)
		if err != nil || a.Hostname() == "" || a.Host != addr || !isAddress(a) {
			p.check(addr == "", "its parameter addr has to be host or host:port") // an empty one is told already
			continue
		}
		all = append(all, net.JoinHostPort(a.Hostname(), cmp.Or(a.Port(), port)))
	}
	return all
}
