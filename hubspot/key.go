package hubspot

import (
	"encoding/binary"
	"maps"
	"slices"
)

// visitorKey is what a token is kept under: everything that is sent to HubSpot,
// since whoever changes the name or the address needs a new token. Each part is
// preceded by its length, so that no two visitors share a key. It contains the
// e-mail and stays in this process; what leaves carries an HMAC of it.
func visitorKey(account string, v Visitor) string {
	var buf [512]byte // on the stack: the string is the only allocation
	key := buf[:0]
	for _, part := range [...]string{account, v.Email, v.FirstName, v.LastName} {
		key = appendPart(key, part)
	}
	if len(v.AgentContext) > 0 {
		for _, name := range slices.Sorted(maps.Keys(v.AgentContext)) {
			key = appendPart(key, name)
			key = appendPart(key, v.AgentContext[name])
		}
	}
	return string(key)
}

func appendPart(key []byte, part string) []byte {
	key = binary.AppendUvarint(key, uint64(len(part)))
	return append(key, part...)
}
