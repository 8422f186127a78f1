package hubspottest

import (
	"encoding/json"
	"net/http"
	"strings"
)

// errorBody is HubSpot's error in JSON.
type errorBody struct {
	Status        string            `json:"status"`
	Message       string            `json:"message"`
	ErrorType     string            `json:"errorType,omitempty"`
	CorrelationID string            `json:"correlationId"`
	PolicyName    string            `json:"policyName,omitempty"`
	Context       map[string]any    `json:"context,omitempty"` // strings or lists of strings
	Errors        []errorDetail     `json:"errors,omitempty"`
	Links         map[string]string `json:"links,omitempty"`
	Category      string            `json:"category,omitempty"`
}

type errorDetail struct {
	Message string         `json:"message"`
	Context map[string]any `json:"context,omitempty"`
}

func (b errorBody) encode() []byte {
	b.Status, b.CorrelationID = "error", uuid()
	body, err := json.Marshal(b)
	if err != nil {
		panic(err) // nothing in an errorBody can fail to marshal
	}
	return body
}

func errorResponse(status int, b errorBody) response {
	return newResponse(status, jsonType, b.encode())
}

func unknownCredentialBody() errorBody {
	return errorBody{
		Message:  "The access token used to make this call is not valid. This API supports OAuth 2.0 authentication and you can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
		Category: "INVALID_AUTHENTICATION",
	}
}

func missingScopesBody() errorBody {
	return errorBody{
		Message: "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: https://developers.hubspot.com/scopes.",
		Errors: []errorDetail{{
			Message: "One or more of the following scopes are required.",
			Context: map[string]any{"requiredGranularScopes": []string{tokenScope}},
		}},
		Links:    map[string]string{"scopes": "https://developers.hubspot.com/scopes"},
		Category: "MISSING_SCOPES",
	}
}

// planBody is made up: HubSpot documents that Free and Starter are refused, not
// with which words.
func planBody() errorBody {
	return errorBody{Message: "This account does not have access to visitor identification."}
}

func rateLimitBody(policy string) errorBody {
	return errorBody{
		Message:    "You have reached your " + strings.ToLower(policy) + " limit.",
		ErrorType:  "RATE_LIMIT",
		PolicyName: policy,
	}
}

func validationBody(err error) errorBody {
	b := errorBody{
		Message:  "Invalid input: " + strings.ReplaceAll(err.Error(), "\n", "; "),
		Category: "VALIDATION_ERROR",
		Links:    map[string]string{"knowledge-base": "https://knowledge.hubspot.com"},
	}
	for problem := range strings.SplitSeq(err.Error(), "\n") {
		detail := errorDetail{Message: problem}
		if field, _, ok := strings.Cut(problem, ": "); ok && !strings.ContainsRune(field, ' ') {
			detail.Context = map[string]any{"propertyName": field} // here a string, elsewhere a list
		}
		b.Errors = append(b.Errors, detail)
	}
	return b
}

// notFound answers like a HubSpot host that has nothing at a path.
func notFound(w http.ResponseWriter, r *http.Request) {
	http.Error(w, "404 Not Found", http.StatusNotFound)
}
