// Package credential knows what HubSpot's access tokens look like, so that a
// wrong one is named at the start and not by HubSpot's 401. No error quotes what
// was wrong: it may be the token itself, put into another place.
package credential

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
)

var apiKey = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// Clean is an access token without the white space around it.
func Clean(token string) (string, error) {
	token = strings.TrimSpace(token)
	switch {
	case token == "":
		return "", errors.New("is empty")
	case len(token) > 1 && token[0] == token[len(token)-1] && strings.ContainsAny(token[:1], `"'`):
		return "", errors.New("has quotes around it, which docker's --env-file keeps: write it without")
	case apiKey.MatchString(token):
		return "", errors.New("is an API key, which HubSpot does not take any more: use the access token of a private app")
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return "", errors.New("has spaces, line ends or other characters that no access token has")
	}
	return token, nil
}

// Read is the access token that file holds. A pipe or device, which may have nothing
// or no end, is an error.
func Read(file string) (string, error) {
	info, err := os.Stat(file)
	if err == nil && !(info.Mode().IsRegular() && info.Size() < 64<<10) {
		err = errors.New("it is no regular file, or a large one")
	}
	var content []byte
	if err == nil {
		content, err = os.ReadFile(file)
	}
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err // without the path
	}
	if err != nil {
		return "", fmt.Errorf("cannot be read: %w", err)
	}
	token, err := Clean(string(content))
	if err != nil {
		return "", fmt.Errorf("does not hold an access token: what it holds %w", err)
	}
	return token, nil
}

// Regions are HubSpot's data centres.
var Regions = []string{"na1", "na2", "na3", "eu1", "ap1"}

// Region is the one of them that a private app's access token names; "" where
// token names none.
func Region(token string) string {
	for _, region := range Regions {
		if strings.HasPrefix(strings.TrimSpace(token), "pat-"+region+"-") {
			return region
		}
	}
	return ""
}
