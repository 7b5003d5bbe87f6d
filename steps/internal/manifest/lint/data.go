package lint

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// maxData is what all values of a ConfigMap or a Secret may have together.
const maxData = 1 << 20

func (c *check) configMap() {
	data, binary := c.get("data"), c.get("binaryData")
	c.dataKeys(data)
	c.dataKeys(binary)
	for _, key := range sortedKeys(binary) {
		if data.get(key).exists() {
			c.add("data", binary.get(key), "keep the key in one of the two", "key %q is in data, too", key)
		}
	}
	size := 0
	for _, key := range sortedKeys(data) {
		size += len(data.get(key).text())
	}
	for _, key := range sortedKeys(binary) {
		size += base64.StdEncoding.DecodedLen(len(binary.get(key).text()))
	}
	c.dataSize(data, size)
}

func (c *check) dataKeys(data value) {
	for _, key := range sortedKeys(data) {
		if messages := validation.IsConfigMapKey(key); len(messages) > 0 {
			c.add("data", data.get(key), "use letters, digits, '-', '_' and '.'", "key %q: %s", key, summary(messages))
		}
	}
}

func (c *check) dataSize(at value, size int) {
	if size > maxData {
		c.add("data", at, "move large files out of the object", "values have %d bytes, the limit is %d", size, maxData)
	}
}

// secretKeys is what a type of Secret must hold: all keys of the list.
var secretKeys = map[string][]string{
	"kubernetes.io/tls":              {"tls.crt", "tls.key"},
	"kubernetes.io/ssh-auth":         {"ssh-privatekey"},
	"kubernetes.io/dockerconfigjson": {".dockerconfigjson"},
	"kubernetes.io/dockercfg":        {".dockercfg"},

	kubesphereCredential + "basic-auth":  {"username", "password"},
	kubesphereCredential + "ssh-auth":    {"username", "private_key"},
	kubesphereCredential + "secret-text": {"secret"},
	kubesphereCredential + "kubeconfig":  {"content"},
}

//nolint:gosec // a type of Secret, not a secret
const kubesphereCredential = "credential.devops.kubesphere.io/"

func (c *check) secret() {
	data, plain, kind := c.get("data"), c.get("stringData"), c.get("type").text()
	c.dataKeys(data)
	c.dataKeys(plain)
	size, keys := 0, sortedKeys(plain)
	for _, key := range keys {
		size += len(plain.get(key).text())
	}
	for _, key := range sortedKeys(data) {
		if !slices.Contains(keys, key) {
			size += base64.StdEncoding.DecodedLen(len(data.get(key).text()))
		}
	}
	c.dataSize(data, size)
	has := func(key string) bool { return data.get(key).exists() || plain.get(key).exists() }
	for _, key := range secretKeys[kind] {
		if !has(key) {
			c.add("data", data.get(key), "add the key, or change the type", "a secret of type %s needs the key %q", kind, key)
		}
	}
	if kind == "kubernetes.io/basic-auth" && !has("username") && !has("password") {
		c.add("data", data, "add the keys, or change the type", "a secret of type %s needs the key username or password", kind)
	}
	if kind == "kubernetes.io/service-account-token" {
		c.required("data", c.get("metadata", "annotations", "kubernetes.io/service-account.name"), "name the service account in this annotation")
	}
	c.dockerConfig(data, plain, kind)
}

func (c *check) dockerConfig(data, plain value, kind string) {
	key := strings.Replace(kind, "kubernetes.io/", ".", 1)
	if key != ".dockerconfigjson" && key != ".dockercfg" {
		return
	}
	at := plain.get(key)
	content := []byte(at.text())
	if !at.exists() {
		at = data.get(key)
		content, _ = base64.StdEncoding.DecodeString(at.text())
	}
	if at.exists() && len(content) > 0 && !json.Valid(content) {
		c.add("data", at, "use the content of a docker config.json", "key %q holds no JSON", key)
	}
}
