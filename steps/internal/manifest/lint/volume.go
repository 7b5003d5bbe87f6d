package lint

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// volumes checks the volumes of a pod and returns their names.
func (c *check) volumes(v value) []string {
	var names []string
	for _, volume := range v.items() {
		names = append(names, volume.get("name").text())
		c.grammar("name", volume.get("name"), isDNS1123Label)
		c.volumeSource(volume)
		c.keyFiles(volume.get("configMap"))
		c.keyFiles(volume.get("secret"))
		for _, source := range volume.get("projected", "sources").items() {
			c.keyFiles(source.get("configMap"))
			c.keyFiles(source.get("secret"))
		}
		c.mode(volume.get("projected", "defaultMode"))
		c.oneOf("volume", volume.get("hostPath", "type"),
			"DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice")
		if path := volume.get("hostPath", "path"); slices.Contains(strings.Split(path.text(), "/"), "..") {
			c.add("volume", path, "write the path without ..", "path %q leaves its directory", path.text())
		}
	}
	c.uniqueNames("duplicate-name", "volume name", v.items())
	return names
}

// volumeSource checks that a volume has at most one source: every field but its name is one, and the default is emptyDir.
func (c *check) volumeSource(volume value) {
	sources := slices.DeleteFunc(sortedKeys(volume), func(key string) bool { return key == "name" || !volume.get(key).exists() })
	if len(sources) > 1 {
		c.add("volume", volume.get(sources[1]), "keep one source", "volume %q has two sources, %s and %s",
			volume.get("name").text(), sources[0], sources[1])
	}
}

// keyFiles checks the items of a configMap or secret volume.
func (c *check) keyFiles(source value) {
	c.mode(source.get("defaultMode"))
	for _, item := range source.get("items").items() {
		c.grammar("volume", item.get("key"), validation.IsConfigMapKey)
		c.mode(item.get("mode"))
		if path := item.get("path"); outside(path.text()) {
			c.add("volume", path, "use a relative path without ..", "path %q leaves the volume", path.text())
		}
	}
}

func (c *check) mode(v value) {
	if n, ok := v.integer(); ok && (n < 0 || n > 0o777) {
		c.add("volume", v, "use an octal number such as 0644, or its decimal value 420", "mode must be from 0 to 0777 (511), found %d", n)
	}
}

func outside(path string) bool {
	return strings.HasPrefix(path, "/") || slices.Contains(strings.Split(path, "/"), "..")
}

// mounts checks the volume mounts and devices of a container.
func (c *check) mounts(container value, volumes []string) {
	mounts, devices := container.get("volumeMounts"), container.get("volumeDevices")
	for _, mount := range slices.Concat(mounts.items(), devices.items()) {
		name := mount.get("name")
		if name.text() != "" && !slices.Contains(volumes, name.text()) {
			c.add("volume-mount", name, "add the volume to the pod's volumes, or mount one of: "+strings.Join(volumes, ", "),
				"no volume %q in this pod", name.text())
		}
	}
	for _, mount := range mounts.items() {
		c.notEmpty("volume-mount", mount.get("mountPath"), "say where the volume is mounted")
		if path := mount.get("mountPath"); strings.Contains(path.text(), ":") {
			c.add("volume-mount", path, "use a path without a colon", "path %q contains a colon", path.text())
		}
		for _, field := range mount.given("subPath", "subPathExpr") {
			if path := mount.get(field); outside(path.text()) {
				c.add("volume-mount", path, "use a relative path without ..", "path %q leaves the volume", path.text())
			}
		}
		if len(mount.given("subPath", "subPathExpr")) == 2 {
			c.add("volume-mount", mount.get("subPathExpr"), "keep one of the two", "cannot be beside subPath")
		}
		c.oneOf("volume-mount", mount.get("mountPropagation"), "None", "HostToContainer", "Bidirectional")
	}
	path := func(v value) value { return v.get("mountPath") }
	c.unique("volume-mount", "mount path", mounts.items(), func(v value) string { return path(v).text() }, path)
}

// claim checks the spec of a PersistentVolumeClaim.
func (c *check) claim(spec value) {
	modes := spec.get("accessModes")
	if len(modes.items()) == 0 {
		c.add("claim", modes, "add an access mode, such as ReadWriteOnce", "needs at least one access mode")
	}
	for _, mode := range modes.items() {
		c.oneOf("claim", mode, "ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
		if mode.text() == "ReadWriteOncePod" && len(modes.items()) > 1 {
			c.add("claim", mode, "keep it alone", "ReadWriteOncePod cannot be beside other modes")
		}
	}
	storage := spec.get("resources", "requests", "storage")
	if c.required("claim", storage, "say how much storage is needed, such as 10Gi") {
		if q, ok := quantity(storage); ok && q.Sign() <= 0 {
			c.add("claim", storage, "ask for more than nothing", "must be more than 0")
		}
	}
	c.oneOf("claim", spec.get("volumeMode"), "Filesystem", "Block")
	c.grammar("name", spec.get("storageClassName"), isDNS1123Subdomain)
	c.selector("selector", spec.get("selector"))
}
