package kustomization_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/steps/internal/failure"
	"slipway/steps/internal/kustomization"
)

func TestParseRequestReadsAllForms(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	tests := map[string]kustomization.Request{
		"app:v2":                      {Name: "app", NewTag: "v2"},
		"reg:5000/app:1":              {Name: "reg:5000/app", NewTag: "1"},
		"app@" + digest:               {Name: "app", Digest: digest},
		"app:v2@" + digest:            {Name: "app", NewTag: "v2", Digest: digest},
		"app=n/app":                   {Name: "app", NewName: "n/app"},
		"app=reg:5000/n/app":          {Name: "app", NewName: "reg:5000/n/app"},
		"app=reg:5000/n/app:v1":       {Name: "app", NewName: "reg:5000/n/app", NewTag: "v1"},
		"app=:v2":                     {Name: "app", NewTag: "v2"},
		"app=*:v2":                    {Name: "app", NewTag: "v2"},
		"app=*:*@" + digest:           {Name: "app", KeepTag: true, Digest: digest},
		"app=n/app:v2@*":              {Name: "app", NewName: "n/app", NewTag: "v2", KeepDigest: true},
		"IMAGE_PLACEHOLDER=team/a:v1": {Name: "IMAGE_PLACEHOLDER", NewName: "team/a", NewTag: "v1"},
	}
	for arg, want := range tests {
		t.Run(arg, func(t *testing.T) {
			got, err := kustomization.ParseRequest(arg)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("error %v, request (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestParseRequestRefuses(t *testing.T) {
	tests := map[string]string{
		"":                                "neither a tag nor a digest",
		"app":                             "neither a tag nor a digest",
		"reg:5000/app":                    "neither a tag nor a digest",
		"app=":                            "nothing follows NAME=",
		"app:":                            "empty tag",
		"app=n/app:":                      "empty tag",
		"app@":                            "empty digest",
		"app:a b":                         `"a b" is not a valid tag`,
		"app:v!1":                         `"v!1" is not a valid tag`,
		":v1":                             `"" is not a valid image name`,
		"=x:1":                            `"" is not a valid image name`,
		"*:v1":                            `"*" is not a valid image name`,
		"a[b=x:1":                         `"a[b" is not a valid image name`,
		"app=a=b:1":                       `"a=b" is not a valid new image name`,
		"app=N/App:1":                     `"N/App" is not a valid new image name`,
		"app@sha256:abc":                  `"sha256:abc" is not a valid digest`,
		"app=$(TAG):1":                    "a variable was not expanded",
		"app:${TAG}":                      "a variable was not expanded",
		"app:$TAG":                        "a variable was not expanded",
		"app:v1\n":                        "is not a valid tag",
		"app:" + strings.Repeat("x", 129): "is not a valid tag",
	}
	for arg, want := range tests {
		t.Run(arg, func(t *testing.T) {
			_, err := kustomization.ParseRequest(arg)
			if err == nil || !strings.Contains(err.Error(), want) || failure.KindOf(err) != failure.Usage || failure.HintOf(err) == "" {
				t.Errorf("error is %v, want one of kind usage with a hint and %q", err, want)
			}
		})
	}
}
