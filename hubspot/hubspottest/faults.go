package hubspottest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Fault is something that goes wrong with one token call (see [Server.Queue]) or
// with all of them (see [Server.SetOutage]). It takes effect before the call is
// examined, so even a call with a bad credential gets it.
//
// A fault with a Status or a Body is the answer, in place of the API's, and has
// only its own headers. A fault with neither leaves the API's normal answer,
// changed by the fault's other fields.
type Fault struct {
	Status   int           // of the answer; 0 with a Body means 200
	Header   http.Header   // set on the answer; the Content-Type is guessed from Body if missing
	Body     string        // of the answer, anything at all
	Latency  time.Duration // before anything else happens
	Hang     bool          // no answer until the client leaves or the server is closed
	Reset    bool          // the connection is cut: at once, or halfway through the body of a fault that answers
	Drip     time.Duration // before each byte of the body
	Oversize int           // the body is padded with spaces to that many bytes
}

// Queue gives each of the next token calls one of faults, in order, after those
// that are already queued. A call that gets a zero Fault is answered normally.
func (s *Server) Queue(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		s.faults = append(s.faults, f.clone())
	}
}

// SetOutage gives the fault to every token call until SetOutage(nil). Queued
// faults come first.
func (s *Server) SetOutage(f *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage = nil
	if f != nil {
		c := f.clone()
		s.outage = &c
	}
}

func (f Fault) clone() Fault {
	f.Header = f.Header.Clone()
	return f
}

// nextFault returns the fault for a call. The caller holds s.mu.
func (s *Server) nextFault() Fault {
	if len(s.faults) > 0 {
		f := s.faults[0]
		s.faults = s.faults[1:]
		return f
	}
	if s.outage != nil {
		return *s.outage
	}
	return Fault{}
}

// FaultBurstLimit is 429 for too many calls in ten seconds.
func FaultBurstLimit() Fault {
	f := jsonFault(http.StatusTooManyRequests, rateLimitBody("TEN_SECONDLY_ROLLING"))
	f.Header.Set("X-HubSpot-RateLimit-Max", "190")
	f.Header.Set("X-HubSpot-RateLimit-Remaining", "0")
	f.Header.Set("X-HubSpot-RateLimit-Interval-Milliseconds", "10000")
	return f
}

// FaultDailyLimit is 429 for the account's daily quota.
func FaultDailyLimit() Fault {
	f := jsonFault(http.StatusTooManyRequests, rateLimitBody("DAILY"))
	f.Header.Set("X-HubSpot-RateLimit-Daily", "625000")
	f.Header.Set("X-HubSpot-RateLimit-Daily-Remaining", "0")
	return f
}

// FaultUnauthorized is 401 for a credential that HubSpot does not know.
func FaultUnauthorized() Fault {
	return jsonFault(http.StatusUnauthorized, unknownCredentialBody())
}

// FaultScope is 403 for an access token without the required scope.
func FaultScope() Fault { return jsonFault(http.StatusForbidden, missingScopesBody()) }

// FaultPlan is 403 for an account on Free or Starter.
func FaultPlan() Fault { return jsonFault(http.StatusForbidden, planBody()) }

// FaultServerError is 500 with an HTML body.
func FaultServerError() Fault {
	return htmlFault(http.StatusInternalServerError, "Error 500 Internal Server Error", "Something went wrong on our end.")
}

// FaultUnavailable is 502 with the HTML body of an edge server that cannot reach
// HubSpot.
func FaultUnavailable() Fault {
	return htmlFault(http.StatusBadGateway, "502 Bad Gateway", "cloudflare")
}

// FaultMigrating is 477: the account moves to another data center and asks to
// be called again after retryAfter, which is sent in whole seconds.
func FaultMigrating(retryAfter time.Duration) Fault {
	f := jsonFault(477, errorBody{Message: "This account is currently being migrated between data hosting locations. Try again later."})
	f.Header.Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
	return f
}

// FaultOtherDataCenter is 488: the account lives in another data center, which
// the answer names (eu1, for example).
func FaultOtherDataCenter(hublet string) Fault {
	return jsonFault(488, errorBody{
		Message: "This account is unknown to this Hublet.",
		Context: map[string]any{"correctHublet": []string{hublet}},
	})
}

func jsonFault(status int, b errorBody) Fault {
	return Fault{Status: status, Header: http.Header{"Content-Type": {jsonType}}, Body: string(b.encode())}
}

func htmlFault(status int, title, text string) Fault {
	return Fault{
		Status: status,
		Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		Body: fmt.Sprintf("<html>\r\n<head><title>%[1]s</title></head>\r\n<body>\r\n<center><h1>%[1]s</h1></center>\r\n"+
			"<hr><center>%[2]s</center>\r\n</body>\r\n</html>\r\n", title, text),
	}
}

// answers reports whether the fault takes the API's place.
func (f Fault) answers() bool { return f.Status != 0 || f.Body != "" }

// response is what a fault that answers says.
func (f Fault) response() response {
	r := newResponse(f.Status, guessType(f.Body), []byte(f.Body))
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r
}

// change applies the fields that concern every answer.
func (f Fault) change(r *response) {
	for key, values := range f.Header {
		r.header[http.CanonicalHeaderKey(key)] = values
	}
	if pad := f.Oversize - len(r.body); pad > 0 {
		r.body = append(r.body, bytes.Repeat([]byte{' '}, pad)...)
	}
}

func guessType(body string) string {
	switch body = strings.TrimSpace(body); {
	case body == "":
		return ""
	case body[0] == '{' || body[0] == '[':
		return jsonType
	case body[0] == '<':
		return "text/html; charset=utf-8"
	}
	return "text/plain; charset=utf-8"
}

// drip writes body one byte per interval, as long as somebody reads it.
func (s *Server) drip(ctx context.Context, w http.ResponseWriter, body []byte, interval time.Duration) {
	rc := http.NewResponseController(w)
	for i := range body {
		if !s.wait(ctx, interval) {
			return
		}
		if _, err := w.Write(body[i : i+1]); err != nil {
			return
		}
		_ = rc.Flush() // a writer that cannot flush still delivers in the end
	}
}

// cut ends the connection without an answer: with a TCP reset where it is TCP.
// It does not return.
func cut(w http.ResponseWriter) {
	if hijacker, ok := w.(http.Hijacker); ok {
		if conn, _, err := hijacker.Hijack(); err == nil {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = conn.Close()
		}
	}
	panic(http.ErrAbortHandler)
}
