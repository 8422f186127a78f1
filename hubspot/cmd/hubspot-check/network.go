package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// watch is the transport of the token calls. It keeps what hubspot.Client does
// not tell: how the connection came about, and an answer's headers.
type watch struct {
	next http.RoundTripper

	mu     sync.Mutex // dials go on beside the calls
	seen   sighting
	header http.Header // of the first answer
}

// sighting is what was seen of the connection.
type sighting struct {
	addresses  int // that DNS gave; 0 where it was not asked
	dnsErr     error
	connected  string // where to
	connectErr error  // of the address that was tried last
	tls        *tls.ConnectionState
	tlsErr     error
	begun      bool // an answer was
	proxy      bool
}

func (w *watch) RoundTrip(r *http.Request) (*http.Response, error) {
	note := func(f func(*sighting)) {
		w.mu.Lock()
		defer w.mu.Unlock()
		f(&w.seen)
	}
	proxy, _ := http.ProxyFromEnvironment(r)
	note(func(s *sighting) { s.proxy = proxy != nil })
	trace := &httptrace.ClientTrace{
		DNSDone: func(i httptrace.DNSDoneInfo) {
			note(func(s *sighting) { s.addresses, s.dnsErr = len(i.Addrs), i.Err })
		},
		ConnectDone: func(_, address string, err error) {
			note(func(s *sighting) {
				if err == nil {
					s.connected = address
				} else {
					s.connectErr = err
				}
			})
		},
		TLSHandshakeDone: func(state tls.ConnectionState, err error) {
			note(func(s *sighting) { s.tls, s.tlsErr = &state, err })
		},
		GotFirstResponseByte: func() { note(func(s *sighting) { s.begun = true }) },
	}
	res, err := w.next.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.header == nil {
			w.header = res.Header.Clone()
		}
	}
	return res, err
}

// look is what was seen until now.
func (w *watch) look() (sighting, http.Header) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen, w.header
}

// network tells how the connection to HubSpot's API came about, and whether it
// did.
func (c *checker) network(s sighting, host string) bool {
	switch {
	case s.dnsErr != nil:
		c.fail("dns", problem{host + " cannot be found: " + dnsWords(s.dnsErr), "correct HUBSPOT_API_URL, or the name servers of this machine"})
		c.leave("dns", "connection", "tls")
		return false
	case s.proxy:
		c.pass("dns", "left to the proxy that HTTPS_PROXY names")
	case s.addresses == 0:
		c.pass("dns", "not needed for %s", host)
	default:
		c.pass("dns", "%s is known", host)
	}
	if s.connected == "" {
		words := "no connection came about in time"
		if s.connectErr != nil {
			words = connectWords(s.connectErr)
		}
		c.fail("connection", problem{host + " cannot be reached: " + words, "let this machine reach it at that port: a firewall, or a proxy (HTTPS_PROXY), stands in between"})
		c.leave("connection", "tls")
		return false
	}
	c.pass("connection", "to %s", s.connected)
	switch {
	case s.tlsErr != nil:
		c.fail("tls", tlsProblem(s.tlsErr))
		return false
	case s.tls == nil:
		c.pass("tls", "not used, since it is this machine")
	default:
		until := "as the certificate says"
		if certificates := s.tls.PeerCertificates; len(certificates) > 0 {
			until = "with a certificate that is good until " + certificates[0].NotAfter.Format(time.DateOnly)
		}
		c.pass("tls", "%s, %s", tls.VersionName(s.tls.Version), until)
	}
	return true
}

func dnsWords(err error) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "there is no such host"
	case errors.As(err, &dns) && dns.IsTimeout:
		return "the name server does not answer"
	}
	return "the name server fails"
}

func connectWords(err error) string {
	var network *net.OpError
	if errors.As(err, &network) && network.Err != nil {
		return network.Err.Error()
	}
	return err.Error()
}

func tlsProblem(err error) problem {
	var host x509.HostnameError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var noTLS tls.RecordHeaderError
	switch {
	case errors.As(err, &host):
		return problem{"the certificate is another host's", "correct HUBSPOT_API_URL; otherwise somebody else answers in HubSpot's place"}
	case errors.As(err, &unknown):
		return problem{"the certificate is of an authority that this machine does not know", "install ca-certificates in the image, or the authority of the proxy that opens TLS connections"}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return problem{"the certificate has expired, or is not good yet", "set this machine's clock; if it is right, somebody else answers in HubSpot's place"}
	case errors.As(err, &noTLS):
		return problem{"what answers does not speak TLS", "correct HUBSPOT_API_URL: its port is of another service"}
	}
	return problem{fmt.Sprint("no secure connection: ", err), "look for a proxy or firewall that interferes with TLS"}
}
