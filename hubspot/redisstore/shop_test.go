package redisstore_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// shop is an application with its replicas, each a process, and its HubSpot.
type shop struct {
	hubspot  *hubspottest.Server
	replicas []*child
	http     *http.Client
}

// openShop starts as many replicas, which share the store at redisURL. They get
// the environment env besides.
func openShop(t *testing.T, replicas int, redisURL string, env ...string) *shop {
	t.Helper()
	s := &shop{
		hubspot: hubspottest.NewServer(t),
		http:    &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: browsers}, Timeout: 10 * time.Second},
	}
	s.hubspot.SetRateLimit(0, 0) // more visitors come than an account may serve in 10 s
	t.Cleanup(s.http.CloseIdleConnections)
	for range replicas {
		s.replicas = append(s.replicas, startChild(t, roleReplica, nil,
			append(env, apiVariable+"="+s.hubspot.URL, redisVariable+"="+redisURL)))
	}
	return s
}

// browsers is how many pages are asked for at once.
const browsers = 8

// slowestPage is how long a page may take on a busy machine. It waits 300 ms for
// HubSpot at most; the rest is the machine's.
const slowestPage = 2 * time.Second

// request sends one as a signed-in visitor's browser.
func (s *shop) request(method, path string, replica, number int) (body []byte, err error) {
	req, err := http.NewRequest(method, s.replicas[replica].ready+path, nil)
	if err != nil {
		return nil, err
	}
	req.AddCookie(&http.Cookie{Name: sessionCookie, Value: strconv.Itoa(number)})
	req.Header.Set("Sec-Fetch-Dest", "document")
	res, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s", method, path, res.Status)
	}
	return io.ReadAll(res.Body)
}

// errLate is of a page that did not wait for its visitor's token.
var errLate = errors.New("the page is anonymous")

var identityOnPage = regexp.MustCompile(`"identificationEmail":"([^"]+)","identificationToken":"([^"]+)"`)

// page opens a page as a visitor and gives the token on it, which is the
// visitor's own.
func (s *shop) page(replica, number int) (token string, took time.Duration, err error) {
	began := time.Now()
	body, err := s.request("GET", "/page", replica, number)
	took = time.Since(began)
	if err != nil {
		return "", took, err
	}
	found := identityOnPage.FindStringSubmatch(string(body))
	switch email := visitor(number).Email; {
	case took > slowestPage:
		return "", took, fmt.Errorf("the page took %v", took)
	case found == nil:
		return "", took, errLate
	case found[1] != email:
		return "", took, fmt.Errorf("the page of %s identifies %s", email, found[1])
	}
	return found[2], took, s.hubspot.Verify(found[1], found[2])
}

// mustPage is page for a test that has all the time it needs: a late page is
// asked for again.
func (s *shop) mustPage(t *testing.T, replica, number int) (token string) {
	t.Helper()
	token, _, err := s.page(replica, number)
	for range 10 {
		if !errors.Is(err, errLate) {
			break
		}
		token, _, err = s.page(replica, number)
	}
	if err != nil {
		t.Fatalf("visitor %d at replica %d: %v", number, replica, err)
	}
	return token
}

func (s *shop) stats(t *testing.T, replica int) (stats hubspot.Stats) {
	t.Helper()
	body, err := s.request("GET", "/stats", replica, 0)
	if err == nil {
		err = json.Unmarshal(body, &stats)
	}
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

// mints is how many tokens HubSpot made for the visitors from up to below to.
func (s *shop) mints(t *testing.T, from, to int) (count int) {
	t.Helper()
	emails := map[string]bool{}
	for number := from; number < to; number++ {
		emails[visitor(number).Email] = true
	}
	for _, call := range s.hubspot.Calls() {
		if call.Status != http.StatusOK {
			t.Errorf("a call to HubSpot got %d", call.Status)
		}
		if emails[call.Email] {
			count++
		}
	}
	return count
}

// visit is one page that one visitor opens at one replica.
type visit struct{ replica, number int }

// visits lets each of the visitors from up to below to open a page at every
// replica: all of them a first page, in no order and at any replica, then all of
// them a second one elsewhere, and so on. Nobody opens two pages at once, which
// would cost two calls where they are at two replicas.
func (s *shop) visits(from, to int) []visit {
	rounds := make([][]visit, len(s.replicas))
	for number := from; number < to; number++ {
		for round, replica := range rand.Perm(len(s.replicas)) {
			rounds[round] = append(rounds[round], visit{replica, number})
		}
	}
	for _, round := range rounds {
		rand.Shuffle(len(round), func(i, j int) { round[i], round[j] = round[j], round[i] })
	}
	return slices.Concat(rounds...)
}

// tally is what became of visits.
type tally struct {
	took []time.Duration // by each page
	late int             // pages that were anonymous
}

func (y *tally) add(more *tally) {
	y.took = append(y.took, more.took...)
	y.late += more.late
}

func (y *tally) String() string {
	took := slices.Sorted(slices.Values(y.took))
	rank := func(at float64) time.Duration { return took[int(at*float64(len(took)-1))].Round(time.Millisecond / 10) }
	return fmt.Sprintf("%d pages in %v (median), %v (99 %%), %v (slowest), %d late", len(took), rank(0.5), rank(0.99), rank(1), y.late)
}

// browse makes the visits, several at once, and sees that every page is served in
// time, and to whom it belongs. Halfway through, meanwhile happens.
func (s *shop) browse(t *testing.T, visits []visit, meanwhile func()) *tally {
	t.Helper()
	var y tally
	var errs []error
	var mu sync.Mutex
	var wg sync.WaitGroup
	queue := make(chan visit)
	for range browsers {
		wg.Go(func() {
			for v := range queue {
				took, late, err := s.open(v)
				mu.Lock()
				y.add(&tally{took: took, late: late})
				if err != nil {
					errs = append(errs, fmt.Errorf("visitor %d at replica %d: %w", v.number, v.replica, err))
				}
				mu.Unlock()
			}
		})
	}
	for i, v := range visits {
		if i == len(visits)/2 && meanwhile != nil {
			wg.Go(meanwhile)
		}
		queue <- v
	}
	close(queue)
	wg.Wait()
	for _, err := range errs[:min(len(errs), 5)] {
		t.Error(err)
	}
	// A machine that stops for longer than the render budget makes those pages late
	// that are open at the time.
	if most := browsers + len(y.took)/50; y.late > most {
		t.Errorf("%d of %d pages were anonymous at first, want %d at most", y.late, len(y.took), most)
	}
	return &y
}

// open opens a page, and a second time if it was late.
func (s *shop) open(v visit) (took []time.Duration, late int, err error) {
	for len(took) < 2 {
		_, d, pageErr := s.page(v.replica, v.number)
		took, err = append(took, d), pageErr
		if !errors.Is(err, errLate) {
			break
		}
		late++
	}
	return took, late, err
}
