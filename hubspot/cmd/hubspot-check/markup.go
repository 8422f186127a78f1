package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// script is a script element of a page.
type script struct {
	attributes map[string]string
	text       string
	place      int    // in the order of the document
	inert      string // the element that keeps it from running, such as template
	previous   *html.Node
}

func (s script) has(attribute string) bool { _, ok := s.attributes[attribute]; return ok }

// runs reports whether browsers take it for a script: its type is none, or a
// script's.
func (s script) runs() bool {
	switch strings.ToLower(strings.TrimSpace(s.attributes["type"])) {
	case "", "module", "text/javascript", "application/javascript":
		return true
	}
	return false
}

// markup is what of a page concerns the chat.
type markup struct {
	scripts  []script
	policies []policy // of meta elements
	said     string   // the library's comment: why nobody is identified
	asText   bool     // the page part stands in the page as text, for people to read
	inRemark bool     // or within a comment, or noscript
	text     []byte   // that people read
	broken   error    // why there is nothing above
}

const marker = "data-hubspot-visitor"

func parseMarkup(body []byte) markup {
	var m markup
	root, err := html.Parse(bytes.NewReader(body))
	if err != nil { // elements within elements, hundreds of them
		m.broken = err
		return m
	}
	m.walk(root, "")
	return m
}

func (m *markup) walk(n *html.Node, inert string) {
	switch n.Type {
	case html.CommentNode:
		if text, ok := strings.CutPrefix(strings.TrimSpace(n.Data), "hubspot-visitor: "); ok && m.said == "" {
			m.said = text
		}
		m.inRemark = m.inRemark || strings.Contains(n.Data, marker+"=")
	case html.TextNode:
		if n.Parent.Data != "script" && n.Parent.Data != "style" {
			for word := range strings.FieldsSeq(n.Data) {
				m.text = append(append(m.text, word...), ' ')
			}
		}
		if strings.Contains(n.Data, marker+"=") {
			switch n.Parent.Data {
			case "noscript":
				m.inRemark = true
			case "script", "style":
			default:
				m.asText = true
			}
		}
	case html.ElementNode:
		m.element(n, inert)
		if n.Data == "template" {
			inert = n.Data
		}
	}
	for child := range n.ChildNodes() {
		m.walk(child, inert)
	}
}

func (m *markup) element(n *html.Node, inert string) {
	attributes := make(map[string]string)
	for _, a := range n.Attr {
		attributes[strings.ToLower(a.Key)] = a.Val
	}
	switch n.Data {
	case "meta":
		if strings.EqualFold(attributes["http-equiv"], "Content-Security-Policy") {
			m.policies = append(m.policies, parsePolicy(attributes["content"]))
		}
	case "script":
		one := script{attributes: attributes, place: len(m.scripts), inert: inert}
		for child := range n.ChildNodes() {
			one.text += child.Data
		}
		for one.previous = n.PrevSibling; one.previous != nil && one.previous.Type != html.ElementNode; {
			one.previous = one.previous.PrevSibling
		}
		m.scripts = append(m.scripts, one)
	}
}

// part is the library's page part, as the page's script will read it: the element
// with the claim, and the settings in the element before it.
type part struct {
	script
	claim, portal, endpoint, load, loader string

	settings      *script // nil where they are not where they belong
	email, token  string  // never to be printed
	avoidsInlines bool
}

var settingsLiteral = regexp.MustCompile(`"loadImmediately.*\}`)

// parts are the page parts, in the order of the document.
func (m *markup) parts() (all []part) {
	for _, s := range m.scripts {
		if !s.has(marker) {
			continue
		}
		p := part{
			script: s, claim: s.attributes[marker], portal: s.attributes["data-portal"], endpoint: s.attributes["data-endpoint"],
			load: s.attributes["data-load"], loader: s.attributes["data-loader"],
		}
		if s.place > 0 && s.previous != nil && s.previous.Data == "script" {
			before := m.scripts[s.place-1]
			var settings struct {
				Email  string `json:"identificationEmail"`
				Token  string `json:"identificationToken"`
				Avoids bool   `json:"avoidInlineStyles"`
			}
			if literal := settingsLiteral.FindString(before.text); json.Unmarshal([]byte("{"+literal), &settings) == nil && literal != "" {
				p.settings, p.email, p.token, p.avoidsInlines = &before, settings.Email, settings.Token, settings.Avoids
			}
		}
		all = append(all, p)
	}
	return all
}

// others are the page's scripts that are not of the page part p.
func (m *markup) others(p part) []script {
	return slices.DeleteFunc(slices.Clone(m.scripts), func(s script) bool {
		return s.place == p.place || p.settings != nil && s.place == p.settings.place || s.inert != ""
	})
}
