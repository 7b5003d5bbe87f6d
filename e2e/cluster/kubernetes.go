package cluster

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// resources maps the kinds of the objects that the stories need to their place in the API.
var resources = map[string]struct{ group, plural string }{
	"Namespace":                {"api/v1", "namespaces"},
	"Node":                     {"api/v1", "nodes"},
	"ConfigMap":                {"api/v1", "configmaps"},
	"Secret":                   {"api/v1", "secrets"},
	"Deployment":               {"apis/apps/v1", "deployments"},
	"CustomResourceDefinition": {"apis/apiextensions.k8s.io/v1", "customresourcedefinitions"},
	"Application":              {"apis/argoproj.io/v1alpha1", "applications"},
	"AppProject":               {"apis/argoproj.io/v1alpha1", "appprojects"},
}

// API is an HTTP API with a token: that of Kubernetes, or that of Argo CD.
type API struct {
	url, token string
	client     *http.Client
}

func newAPI(url, token string) API {
	// The servers make their certificates themselves, and nobody else is in their network.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	return API{url: url, token: token, client: &http.Client{Transport: transport, Timeout: 30 * time.Second}}
}

// errMissing is the answer that there is no such object.
var errMissing = errors.New("404")

func (a API) do(method, path, contentType string, body []byte, into any) error {
	request, err := http.NewRequest(method, a.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", contentType)
	if a.token != "" {
		request.Header.Set("Authorization", "Bearer "+a.token)
	}
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s %s: %w: %s", method, path, errMissing, content)
	case response.StatusCode >= 300:
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, content)
	case into == nil:
		return nil
	}
	return json.Unmarshal(content, into)
}

func objectPath(kind, namespace, name string) (string, error) {
	resource, known := resources[kind]
	if !known {
		return "", fmt.Errorf("no kind %s", kind)
	}
	path := "/" + resource.group
	if namespace != "" {
		path += "/namespaces/" + namespace
	}
	return path + "/" + resource.plural + "/" + name, nil
}

// Apply creates or changes the objects of a YAML text, in their order.
func (c *Cluster) Apply(text string) error {
	for document := range strings.SplitSeq(text, "\n---\n") {
		var object struct {
			Kind     string
			Metadata struct{ Name, Namespace string }
		}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			return err
		}
		path, err := objectPath(object.Kind, object.Metadata.Namespace, object.Metadata.Name)
		if err != nil {
			return err
		}
		query := "?fieldManager=e2e&force=true"
		if err := c.kubernetes.do(http.MethodPatch, path+query, "application/apply-patch+yaml", []byte(document), nil); err != nil {
			return err
		}
	}
	return nil
}

// Get reads an object; the namespace is empty where it has none.
func (c *Cluster) Get(kind, namespace, name string, into any) error {
	path, err := objectPath(kind, namespace, name)
	if err != nil {
		return err
	}
	return c.kubernetes.do(http.MethodGet, path, "application/json", nil, into)
}

// Patch merges JSON into an object.
func (c *Cluster) Patch(kind, namespace, name, patch string) error {
	path, err := objectPath(kind, namespace, name)
	if err != nil {
		return err
	}
	return c.kubernetes.do(http.MethodPatch, path, "application/merge-patch+json", []byte(patch), nil)
}

func (c *Cluster) nodeReady(name string) error {
	var node struct {
		Status struct {
			Conditions []struct{ Type, Status string }
		}
	}
	if err := c.Get("Node", "", name, &node); err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == "Ready" && condition.Status == "True" {
			return nil
		}
	}
	return fmt.Errorf("node %s is not ready: %+v", name, node.Status.Conditions)
}

// answers returns a probe: whether a GET is answered with 200.
func (a API) answers(path string) func() error {
	return func() error { return a.do(http.MethodGet, path, "application/json", nil, nil) }
}
