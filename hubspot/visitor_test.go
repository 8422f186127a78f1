package hubspot_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

// address is an e-mail address of n bytes.
func address(n int) string {
	local := strings.Repeat("l", 64)
	domain := strings.Repeat("d", n-len(local)-len("@.example"))
	return local + "@" + domain + ".example"
}

var goodEmails = map[string]string{
	"plain":                "ada@example.com",
	"plus":                 "ada+chat@example.com",
	"a carrier's":          "user..name@docomo.ne.jp",
	"local domain":         "ada@intranet",
	"dots":                 "ada.lovelace@mail.example.co.uk",
	"capitals":             "Ada.Lovelace@Example.COM",
	"apostrophe":           "o'brien@example.com",
	"254 bytes":            address(254),
	"quoted markup":        `"</script><script>"@example.com`,
	"quoted quote":         `"a\"b"@example.com`,
	"quoted backslash":     `"a\\b"@example.com`,
	"quoted at":            `"a@b"@example.com`,
	"line separator":       "a\u2028b@example.com",
	"emoji":                "\U0001F600@example.com",
	"accent":               "jos\u00e9@example.com",
	"two":                  "ada@example.com, eve@example.com",
	"two ats":              "ada@eve@example.com",
	"comment":              "ada@example.com (Ada)",
	"comment in front":     "(Ada) ada@example.com",
	"space inside":         "a da@example.com",
	"needless quotes":      `"ada"@example.com`,
	"dot in front":         ".ada@example.com",
	"two dots":             "a..da@example.com",
	"group":                "friends: ada@example.com;",
	"accent in the domain": "ada@b\u00fccher.example",
}

var badEmails = map[string]string{
	"empty":                  "",
	"no at":                  "ada.example.com",
	"no local part":          "@example.com",
	"no domain":              "ada@",
	"display name":           "Ada <ada@example.com>",
	"quoted display name":    `"Ada" <ada@example.com>`,
	"angle brackets":         "<ada@example.com>",
	"space in front":         " ada@example.com",
	"wide space in front":    "\u3000ada@example.com",
	"display name, no @":     "Ada <ada>",
	"only an at":             "@",
	"two ats before":         "@@example.com",
	"two ats behind":         "ada@@",
	"space behind":           "ada@example.com ",
	"255 bytes":              address(255),
	"300 bytes":              address(300),
	"line end behind":        "ada@example.com\n",
	"header injection":       "ada@example.com\r\nBcc: eve@example.com",
	"NUL":                    "a\x00da@example.com",
	"tab":                    "a\tda@example.com",
	"delete":                 "a\x7fda@example.com",
	"C1 control":             "a\u0085da@example.com",
	"quoted line end":        "\"a\nb\"@example.com",
	"invalid UTF-8":          "ad\xff@example.com",
	"truncated UTF-8":        "ad\xc3@example.com",
	"surrogate in UTF-8":     "ad\xed\xa0\x80@example.com",
	"markup without quoting": "</script><script>@example.com",
}

func TestVisitorEmail(t *testing.T) {
	for name, email := range goodEmails {
		if err := (hubspot.Visitor{Email: email}).Validate(); err != nil {
			t.Errorf("%s: %q: %v", name, email, err)
		}
	}
	for name, email := range badEmails {
		err := hubspot.Visitor{Email: email}.Validate()
		if !errors.Is(err, hubspot.ErrInvalidVisitor) {
			t.Errorf("%s: %q: errors.Is(%v, ErrInvalidVisitor) is false", name, email, err)
			continue
		}
		var v *hubspot.VisitorError
		if !errors.As(err, &v) || v.Field != "Email" || v.Reason == "" {
			t.Errorf("%s: %q: %#v is no *VisitorError about Email", name, email, v)
		}
	}
}

func TestVisitorNames(t *testing.T) {
	for name, tt := range map[string]struct {
		value string
		good  bool
	}{
		"empty":                              {"", true},
		"plain":                              {"Ada", true},
		"markup":                             {"</script><script>", true},
		"not Latin":                          {"\u79c0\u592b", true},
		"255 characters":                     {strings.Repeat("a", 255), true},
		"255 characters of more than a byte": {strings.Repeat("\u00e9", 255), true},
		"255 characters of four bytes":       {strings.Repeat("\U0001F600", 255), true},
		"256 characters":                     {strings.Repeat("a", 256), false},
		"256 characters of more than a byte": {strings.Repeat("\u00e9", 256), false},
		"line end":                           {"Ada\n", false},
		"NUL":                                {"A\x00da", false},
		"escape":                             {"\x1b[31mAda", false},
		"C1 control":                         {"A\u009bda", false},
		"invalid UTF-8":                      {"Ad\xe9", false},
	} {
		for field, v := range map[string]hubspot.Visitor{
			"FirstName": {Email: "ada@example.com", FirstName: tt.value},
			"LastName":  {Email: "ada@example.com", LastName: tt.value},
		} {
			err := v.Validate()
			if tt.good {
				if err != nil {
					t.Errorf("%s as %s: %v", name, field, err)
				}
				continue
			}
			if got := fields(err); !cmp.Equal(got, []string{field}) || !errors.Is(err, hubspot.ErrInvalidVisitor) {
				t.Errorf("%s as %s: problems with %v: %v", name, field, got, err)
			}
		}
	}
}

// fields are what the parts of a joined error are about, in their order.
func fields(err error) (names []string) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	for _, e := range joined.Unwrap() {
		var v *hubspot.VisitorError
		if errors.As(e, &v) {
			names = append(names, v.Field)
		}
	}
	return names
}

func TestVisitorAgentContext(t *testing.T) {
	for name, tt := range map[string]struct {
		context map[string]string
		good    bool
	}{
		"none":                 {nil, true},
		"empty":                {map[string]string{}, true},
		"plain":                {map[string]string{"plan": "gold"}, true},
		"4 KiB":                {map[string]string{"k": strings.Repeat("v", 4095)}, true},
		"more than 4 KiB":      {map[string]string{"k": strings.Repeat("v", 4096)}, false},
		"a long name":          {map[string]string{strings.Repeat("k", 5000): ""}, false},
		"10 MB":                {map[string]string{"k": strings.Repeat("v", 10<<20)}, false},
		"control characters":   {map[string]string{"k": "a\x1b[31m"}, false},
		"control in the name":  {map[string]string{"k\x00": "v"}, false},
		"not UTF-8":            {map[string]string{"k": "\xff"}, false},
		"name that is no text": {map[string]string{"\xc3": "v"}, false},
	} {
		err := hubspot.Visitor{Email: "ada@example.com", AgentContext: tt.context}.Validate()
		if tt.good {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else if got := fields(err); !cmp.Equal(got, []string{"AgentContext"}) {
			t.Errorf("%s: problems with %v: %v", name, got, err)
		}
	}
}

func TestVisitorAllProblemsAtOnce(t *testing.T) {
	long := strings.Repeat("Wilhelmina", 26) // 260 characters
	err := hubspot.Visitor{
		Email:     "mallory <mallory@example.com>",
		FirstName: long,
		LastName:  long + "\x07",
	}.Validate()
	want := []string{"Email", "FirstName", "LastName", "LastName"}
	if diff := cmp.Diff(want, fields(err)); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	for _, field := range want {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%q does not name %s", err, field)
		}
	}
	for _, value := range []string{"mallory", "Wilhelmina", "\x07"} {
		if strings.Contains(err.Error(), value) {
			t.Errorf("%q repeats %q", err, value)
		}
	}
	if !strings.HasPrefix(err.Error(), "hubspot: ") {
		t.Errorf("%q does not begin with the package's name", err)
	}
}

// EmailVerified is a question of who may be identified, not of what HubSpot
// takes.
func TestVisitorValidateIgnoresVerification(t *testing.T) {
	for _, verified := range []bool{true, false} {
		if err := (hubspot.Visitor{Email: "ada@example.com", EmailVerified: verified}).Validate(); err != nil {
			t.Errorf("verified %v: %v", verified, err)
		}
	}
}

func FuzzVisitorValidate(f *testing.F) {
	for _, emails := range []map[string]string{goodEmails, badEmails} {
		for _, email := range emails {
			f.Add(email, "Ada", "Lovelace")
		}
	}
	f.Add("ada@example.com", strings.Repeat("\u00e9", 256), "\x00\xff")
	// All that an error can say: no room for what was wrong.
	texts := []string{
		"hubspot: visitor's Email is empty",
		"hubspot: visitor's Email is longer than 254 bytes",
		"hubspot: visitor's Email has control characters or is not UTF-8",
		"hubspot: visitor's Email is not an e-mail address",
		"hubspot: visitor's Email is not a plain e-mail address",
		"hubspot: visitor's FirstName is longer than 255 characters",
		"hubspot: visitor's FirstName has control characters or is not UTF-8",
		"hubspot: visitor's LastName is longer than 255 characters",
		"hubspot: visitor's LastName has control characters or is not UTF-8",
	}
	f.Fuzz(func(t *testing.T, email, first, last string) {
		v := hubspot.Visitor{Email: email, FirstName: first, LastName: last}
		if err := v.Validate(); err != nil {
			if !errors.Is(err, hubspot.ErrInvalidVisitor) {
				t.Errorf("%#v: errors.Is(%v, ErrInvalidVisitor) is false", v, err)
			}
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !slices.Contains(texts, line) {
					t.Errorf("%#v: unexpected text %q", v, line)
				}
			}
			return
		}
		for _, s := range []string{email, first, last} {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
				t.Errorf("%q passed", s)
			}
		}
		if utf8.RuneCountInString(first) > 255 || utf8.RuneCountInString(last) > 255 || len(email) > 254 {
			t.Errorf("%#v passed", v)
		}
		// The address alone: something, an @, something.
		before, after, _ := strings.Cut(email, "@")
		if before == "" || after == "" || strings.HasSuffix(email, "@") || strings.TrimSpace(email) != email || strings.HasPrefix(email, "<") || strings.HasSuffix(email, ">") {
			t.Errorf("%q passed", email)
		}
	})
}
