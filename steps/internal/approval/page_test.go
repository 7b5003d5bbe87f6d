package approval_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"slipway/steps/internal/approval"
)

// page is the page of records as of when the tests are.
func page(t *testing.T, records ...approval.Record) string {
	t.Helper()
	var b strings.Builder
	if err := approval.WritePage(&b, records, approval.PageOptions{Now: written, Location: beijing}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// node is an element of a page.
type node struct{ *html.Node }

func parse(t *testing.T, page string) node {
	t.Helper()
	n, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return node{n}
}

// all returns the elements of a name, and of a class if one is given.
func (n node) all(name, class string) []node {
	var found []node
	for d := range n.Descendants() {
		if d.Type != html.ElementNode || d.Data != name {
			continue
		}
		if d := (node{d}); class == "" || strings.Contains(" "+d.attribute("class")+" ", " "+class+" ") {
			found = append(found, d)
		}
	}
	return found
}

// one returns the only element of a name and class.
func (n node) one(t *testing.T, name, class string) node {
	t.Helper()
	found := n.all(name, class)
	if len(found) != 1 {
		t.Fatalf("the page has %d elements %s of class %q, want one", len(found), name, class)
	}
	return found[0]
}

func (n node) attribute(name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

var spaces = regexp.MustCompile(`\s+`)

func (n node) text() string { return strings.TrimSpace(spaces.ReplaceAllString(n.raw(), " ")) }

func (n node) raw() string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

func texts(nodes []node) []string {
	var all []string
	for _, n := range nodes {
		all = append(all, n.text())
	}
	return all
}

// facts are the names and values of all description lists.
func (n node) facts() map[string]string {
	facts := map[string]string{}
	var name string
	for d := range n.Descendants() {
		switch {
		case d.Type == html.ElementNode && d.Data == "dt":
			name = node{d}.text()
		case d.Type == html.ElementNode && d.Data == "dd" && facts[name] != "":
			facts[name] += "; " + node{d}.text()
		case d.Type == html.ElementNode && d.Data == "dd":
			facts[name] = node{d}.text()
		}
	}
	return facts
}

// links are the addresses that links lead to, by their texts.
func (n node) links() map[string]string {
	links := map[string]string{}
	for _, a := range n.all("a", "") {
		links[a.text()] = a.attribute("href")
	}
	return links
}

func TestPageSaysHowARecordStands(t *testing.T) {
	with := func(change func(*approval.Record)) approval.Record {
		r := askedExample()
		change(&r)
		return r
	}
	rejecting := func(r *approval.Record) { r.Terms.OnTimeout = approval.RejectOnTimeout }
	keeping := func(r *approval.Record) { r.Terms.OnReject = approval.KeepRejected }
	pipeline := approval.Actor{Via: "jenkins"}
	const rejected = "release-manager via jenkins rejected it, 9 minutes after the question was opened. "
	for name, test := range map[string]struct {
		record       approval.Record
		status, said string
		facts        map[string]string
	}{
		"an open question says until when, and what silence means": {
			askedExample(), "Waiting for an answer",
			"Without an answer by 2026-03-10 10:00 UTC (18:00 CST) the release stays. This page was written 17 minutes before that.",
			map[string]string{
				"Left": "17 minutes", "On silence": "the release stays", "On rejection": "the release is reverted", "Approvers": "anybody",
				"Asked": "2026-03-10 09:30 UTC (17:30 CST)", "Deadline": "2026-03-10 10:00 UTC (18:00 CST)",
			},
		},
		"silence may mean a rejection": {
			with(rejecting), "Waiting for an answer",
			"Without an answer by 2026-03-10 10:00 UTC (18:00 CST) the release is rejected and reverted. This page was written 17 minutes before that.",
			map[string]string{"On silence": "the release is rejected and reverted"},
		},
		"a rejection may be all that happens": {
			with(func(r *approval.Record) { rejecting(r); keeping(r) }), "Waiting for an answer",
			"Without an answer by 2026-03-10 10:00 UTC (18:00 CST) the release is rejected. This page was written 17 minutes before that.",
			map[string]string{"On silence": "the release is rejected", "On rejection": "it is recorded, and nothing is taken back"},
		},
		"the terms say who may answer": {
			with(func(r *approval.Record) {
				r.Terms.Approvers, r.Terms.NotByAuthor = []string{"release-manager", "on-call"}, true
				r.Subject.Authors = []string{"web-team", "web@example.com"}
			}),
			"Waiting for an answer", "",
			map[string]string{"Approvers": "release-manager, on-call; not its authors", "Authors": "web-team; web@example.com"},
		},
		"a window that has closed is settled by whoever looks next": {
			with(func(r *approval.Record) { r.Deadline = written }), "Window closed",
			"No answer by 2026-03-10 09:42 UTC (17:42 CST) is recorded. Silence means that the release stays, once slipway looks at it again.",
			map[string]string{"Left": "0 seconds"},
		},
		"accepted by somebody": {
			answeredExample(askedExample(), approval.Proceed, "release-manager", ""), "Accepted",
			"release-manager via jenkins accepted it, 9 minutes after the question was opened. The release stays.",
			map[string]string{"Answer": "accepted", "From": "release-manager via jenkins", "Decided": "2026-03-10 09:39 UTC (17:39 CST)"},
		},
		"accepted by nobody knows whom": {
			answeredExample(askedExample(), approval.Proceed, "", ""), "Accepted",
			"Somebody unknown via jenkins accepted it, 9 minutes after the question was opened. The release stays.",
			map[string]string{"From": "somebody unknown via jenkins"},
		},
		"accepted by silence": {
			silentExample(askedExample()), "Accepted by silence", "Nobody answered within 30 minutes. The release stays.",
			map[string]string{"Answer": "accepted", "From": "nobody, within the window", "Decided": "2026-03-10 10:00 UTC (18:00 CST)"},
		},
		"rejected by silence, and nothing taken back": {
			silentExample(with(func(r *approval.Record) { rejecting(r); keeping(r) })), "Rejected by silence",
			"Nobody answered within 30 minutes. Nothing is taken back: that is left to you.",
			map[string]string{"Answer": "rejected"},
		},
		"rejected, and still to be taken back": {
			answeredExample(askedExample(), approval.Reject, "release-manager", "too slow"), "Rejected",
			rejected + "It has not been taken back yet.", nil,
		},
		"taken back in Git only": {
			revertingExample(answeredExample(askedExample(), approval.Reject, "release-manager", "too slow")), "Being reverted",
			rejected + "It was taken back in Git, and the cluster has not followed yet.",
			map[string]string{"Revert": exampleRevert},
		},
		"taken back": {
			revertedExample(answeredExample(askedExample(), approval.Reject, "release-manager", "too slow")), "Reverted",
			rejected + "It was taken back.",
			map[string]string{"Revert": exampleRevert, "Answer": "rejected"},
		},
		"taken back without asking": {
			revertedExample(askedExample().Condemn(written, pipeline, "shop-prod is Degraded")), "Reverted",
			"It was rejected without asking: it has not become healthy. It was taken back.",
			map[string]string{"From": "nobody: the release was unhealthy"},
		},
		"replaced before it could be taken back": {
			answeredExample(askedExample(), approval.Reject, "release-manager", "").Supersede(written, pipeline, "by release 9ab1"), "Superseded",
			rejected + "A newer release had replaced it before it could be taken back.", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := parse(t, page(t, test.record))
			if got := p.one(t, "span", "status").text(); got != test.status {
				t.Errorf("status %q, want %q", got, test.status)
			}
			if got := p.one(t, "p", "said").text(); test.said != "" && got != test.said {
				t.Errorf("it says %q, want %q", got, test.said)
			}
			facts := p.facts()
			for name, want := range test.facts {
				if facts[name] != want {
					t.Errorf("%s: %q, want %q", name, facts[name], want)
				}
			}
			if got, want := p.one(t, "title", "").text(), "Release services/shop/overlays/prod: "+test.status; got != want {
				t.Errorf("title %q, want %q", got, want)
			}
			if _, left := facts["Left"]; left != (test.record.State == approval.Pending) {
				t.Errorf("that something is left of the window: %v", left)
			}
		})
	}
}

func TestPageSaysWhatWasReleased(t *testing.T) {
	p := parse(t, page(t, revertedExample(answeredExample(askedExample(), approval.Reject, "release-manager", "Orders fail."))))
	if got := p.one(t, "html", "").attribute("lang"); got != "en" {
		t.Errorf("language %q", got)
	}
	if got := p.one(t, "h2", "").text(); got != "services/shop/overlays/prod" {
		t.Errorf("heading %q", got)
	}
	facts := p.facts()
	for name, want := range map[string]string{
		"registry.example.com/shop/web": "4.2.0 → 4.3.0", "Build": "shop/web #142", "Commit": exampleCommit, "Branch": "main",
		"Repository": "https://git.example.com/platform/gitops.git", "Application": "shop-prod Healthy when asked", "Release id": "5f0c21d97ab34e68",
	} {
		if facts[name] != want {
			t.Errorf("%s: %q, want %q", name, facts[name], want)
		}
	}
	want := map[string]string{
		"shop/web #142": "https://jenkins.example.com/job/shop/job/web/142/",
		"shop-prod":     "https://argocd.example.com/applications/argocd/shop-prod",
		exampleCommit:   "https://git.example.com/platform/gitops/commit/" + exampleCommit,
		exampleRevert:   "https://git.example.com/platform/gitops/commit/" + exampleRevert,
	}
	if diff := cmp.Diff(want, p.links()); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	if got := p.one(t, "blockquote", "").text(); got != "Orders fail." {
		t.Errorf("quoted %q", got)
	}
	objects := p.one(t, "tbody", "").all("tr", "")
	wantObjects := []string{"changedDeployment shop/web", "changedCronJob shop/web-cleanup", "addedServiceAccount shop/web"}
	if diff := cmp.Diff(wantObjects, texts(objects)); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	events := p.one(t, "ol", "history").all("li", "")
	if diff := cmp.Diff([]string{
		"Opened via jenkins 2026-03-10 09:30:12 UTC (17:30:12 CST)",
		"Rejected by release-manager via jenkins: Orders fail. 2026-03-10 09:39:53 UTC (17:39:53 CST)",
		"Taken back in Git via jenkins: commit " + exampleRevert + " 2026-03-10 09:39:57 UTC (17:39:57 CST)",
		"Reverted via jenkins 2026-03-10 09:40:45 UTC (17:40:45 CST)",
	}, texts(events)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	for _, d := range p.all("details", "") {
		if !isOpen(d) {
			t.Errorf("%q is folded, and short", d.one(t, "summary", "").text())
		}
	}
}

// isOpen says whether details are open.
func isOpen(details node) bool {
	return slices.ContainsFunc(details.Attr, func(a html.Attribute) bool { return a.Key == "open" })
}

func TestPageWithLittleToSayLeavesItOut(t *testing.T) {
	r := approval.New("shop-prod@1", written, 90*time.Second, approval.Terms{}, approval.Subject{Revision: "1"}, approval.Actor{})
	p := parse(t, page(t, r))
	if got := p.one(t, "h2", "").text(); got != "shop-prod@1" {
		t.Errorf("heading %q, want the id", got)
	}
	facts := p.facts()
	for _, name := range []string{"Build", "Branch", "Repository", "Authors", "Application", "Release id", "Revert", "Answer"} {
		if got, ok := facts[name]; ok {
			t.Errorf("%s is %q, and not known", name, got)
		}
	}
	if got := texts(p.all("summary", "")); !cmp.Equal(got, []string{"History"}) {
		t.Errorf("parts %q, want the history alone", got)
	}
	r.Subject.Applications = []approval.Application{{Name: "shop-prod"}}
	p = parse(t, page(t, r))
	if got, want := p.one(t, "h2", "").text()+": "+p.facts()["Application"], "shop-prod: shop-prod not known when asked"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPageOfSeveralHasAnIndexAndIsFolded(t *testing.T) {
	records := exampleRecords()
	p := parse(t, page(t, records...))
	if got := p.one(t, "h1", "").text(); got != "Releases" {
		t.Errorf("heading %q", got)
	}
	index := p.one(t, "ol", "index").all("li", "")
	if len(index) != len(records) || len(p.all("article", "")) != len(records) {
		t.Fatalf("%d lines and %d releases, want %d of both", len(index), len(p.all("article", "")), len(records))
	}
	want := "services/shop/overlays/prod Reverted registry.example.com/shop/web 4.2.0 → 4.3.0, 2026-03-10 09:30 UTC (17:30 CST)"
	if got := index[1].text(); got != want {
		t.Errorf("line %q, want %q", got, want)
	}
	for i, line := range index {
		article := p.all("article", "")[i]
		if got, want := line.one(t, "a", "").attribute("href"), "#"+article.attribute("id"); got != want {
			t.Errorf("line %d leads to %q, want %q", i, got, want)
		}
		if got, want := article.one(t, "h2", "").text(), records[i].Subject.Path; got != want {
			t.Errorf("release %d is of %q, want %q", i, got, want)
		}
	}
	for _, d := range p.all("details", "") {
		if isOpen(d) {
			t.Errorf("%q is open", d.one(t, "summary", "").text())
		}
	}
	if got := parse(t, page(t)).one(t, "main", "").text(); got != "No release has asked for an answer." {
		t.Errorf("without releases it says %q", got)
	}
}

func TestPageShowsImagesWithoutRepeatingTheirNames(t *testing.T) {
	const digest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	for name, test := range map[string]struct {
		image approval.Image
		want  map[string]string
	}{
		"tags": {approval.Image{Name: "r/web", Old: "r/web:1", New: "r/web:2"}, map[string]string{"r/web": "1 → 2"}},
		"digests": {
			approval.Image{Name: "r/web", Old: "r/web:1@" + digest, New: "r/web@" + digest},
			map[string]string{"r/web": "1 " + digest + " → " + digest},
		},
		"another name":  {approval.Image{Name: "web", Old: "web", New: "r/web:2"}, map[string]string{"web": "web → r/web:2"}},
		"the first":     {approval.Image{Name: "r/web", New: "r/web:2"}, map[string]string{"r/web": "not there → 2"}},
		"removed":       {approval.Image{Name: "r/web", Old: "r/web:2"}, map[string]string{"r/web": "2 → removed"}},
		"a longer name": {approval.Image{Name: "r/web", Old: "r/web-next:1", New: "r/web:2"}, map[string]string{"r/web": "r/web-next:1 → 2"}},
		"of another one": {
			approval.Image{Path: "other", Name: "r/web", Old: "r/web:1", New: "r/web:2"},
			map[string]string{"r/web in other": "1 → 2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := askedExample()
			if test.image.Path == "" {
				test.image.Path = r.Subject.Path
			}
			r.Subject.Images = []approval.Image{test.image}
			if diff := cmp.Diff(test.want, parse(t, page(t, r)).one(t, "dl", "images").facts()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPageMarksTheLinesOfADifference(t *testing.T) {
	r := askedExample()
	r.Subject.Diff = "~ ConfigMap a\n--- a/ConfigMap a\n+++ b/ConfigMap a\n@@ -1,3 +1,3 @@\n" +
		" data:\n--- old\n+++ new\n \t<b>&amp;</b>\n(the rest is left out)\n"
	pre := parse(t, page(t, r)).one(t, "pre", "diff")
	if got := pre.raw(); got+"\n" != r.Subject.Diff {
		t.Errorf("difference\n%s\nwant\n%s", got, r.Subject.Diff)
	}
	var got []string
	for _, span := range pre.all("span", "") {
		got = append(got, span.attribute("class")+": "+span.raw())
	}
	want := []string{
		"object: ~ ConfigMap a\n", "place: --- a/ConfigMap a\n+++ b/ConfigMap a\n@@ -1,3 +1,3 @@\n",
		"removed: --- old\n", "added: +++ new\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPageFoldsWhatIsLong(t *testing.T) {
	r := longExample()
	p := parse(t, page(t, r))
	var open []string
	for _, d := range p.all("details", "") {
		if isOpen(d) {
			open = append(open, d.one(t, "summary", "").text())
		}
	}
	if !cmp.Equal(open, []string{"History"}) {
		t.Errorf("open: %q", open)
	}
	if got := len(p.one(t, "tbody", "").all("tr", "")); got != len(r.Subject.Objects) {
		t.Errorf("%d objects, want all %d", got, len(r.Subject.Objects))
	}
}

// longExample is a release with much of everything.
func longExample() approval.Record {
	r := askedExample()
	for i := range 300 {
		object := fmt.Sprintf("ConfigMap shop/%s-%d", strings.Repeat("settings-", 20), i)
		r.Subject.Objects = append(r.Subject.Objects, approval.Object{Object: object, Change: "changed"})
		r.Subject.Diff += fmt.Sprintf("+ Deployment shop/web-%d\n", i)
	}
	name := "registry.example.com/" + strings.Repeat("averylongname", 60)
	r.Subject.Path += strings.Repeat("/averylongdirectory", 20)
	r.Subject.Images = append(r.Subject.Images, approval.Image{
		Name: name, Old: strings.Repeat("v", 900) + ":1", New: name + ":2@sha256:" + strings.Repeat("0", 64),
	})
	r.Subject.Applications = []approval.Application{{Name: strings.Repeat("app", 100), Health: strings.Repeat("Odd", 50)}}
	r.Subject.Build = "jenkins.example.com/" + strings.Repeat("job", 300)
	r.Subject.Authors = []string{strings.Repeat("w", 300)}
	r.Terms.Approvers = []string{strings.Repeat("release-manager", 30)}
	return answeredExample(r, approval.Reject, r.Terms.Approvers[0], strings.Repeat("!", 2000))
}

// hostileExample is a record whose writer wants to do more than to be read.
func hostileExample(text, address string) approval.Record {
	r := askedExample()
	s := &r.Subject
	for _, field := range []*string{&s.Repo, &s.Branch, &s.Path, &s.Revision, &s.Release, &s.Job, &s.Diff} {
		*field = text
	}
	s.Build, s.CommitURL, s.Authors, r.Terms.Approvers = address, address, []string{text}, []string{text}
	s.Images = []approval.Image{{Path: text + "/", Name: text, Old: text + "0", New: text + "1"}}
	s.Objects = []approval.Object{{Object: text, Change: text}}
	s.Applications = []approval.Application{{Name: text, Health: text, URL: address}}
	r.Events[0].Actor = approval.Actor{By: text, Via: text, Build: address}
	r = answeredExample(r, approval.Reject, text, text)
	r = r.Begin(written, approval.Actor{By: text, Via: text, Build: address}, text)
	return r.End(written, approval.Actor{By: text, Via: text, Build: address + "?"})
}

const injection = `"'></title></style><script>document.title = "run"</script><img src=/x onerror="document.title = 'run'"><!-- {{.}} </pre>`

func TestPageTakesWhatRecordsHoldForText(t *testing.T) {
	plain := parse(t, page(t, hostileExample("word", "https://forge.example.com/")))
	p := parse(t, page(t, hostileExample(injection, "https://forge.example.com/")))
	if got, want := elements(p), elements(plain); !cmp.Equal(got, want) {
		t.Errorf("the elements of the page changed (-want +got):\n%s", cmp.Diff(want, got))
	}
	for d := range p.Descendants() {
		for _, a := range d.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" {
				t.Errorf("%s has the attribute %s", d.Data, a.Key)
			}
		}
	}
	for _, place := range []string{"h2", "blockquote", "title", "tbody", "pre"} {
		if got := p.one(t, place, "").raw(); !strings.Contains(got, injection) {
			t.Errorf("%s does not show the text as it is: %s", place, got)
		}
	}
}

func elements(n node) []string {
	var names []string
	for d := range n.Descendants() {
		if d.Type != html.TextNode {
			names = append(names, d.Data)
		}
	}
	return names
}

func TestPageLinksOnlyToTheWeb(t *testing.T) {
	for address, is := range map[string]bool{
		"https://forge.example.com/c/1?a=b&c=d#e":     true,
		"http://10.0.0.7:8080/":                       true,
		"HTTPS://forge.example.com/":                  true,
		"javascript:alert(1)":                         false,
		"JaVaScRiPt:alert(1)":                         false,
		" javascript:alert(1)":                        false,
		"java\tscript:alert(1)":                       false,
		"data:text/html,<script>alert(1)</script>":    false,
		"file:///etc/passwd":                          false,
		"//forge.example.com/":                        false,
		"/job/1":                                      false,
		"https:forge.example.com":                     false,
		"https://":                                    false,
		"https://forge.example.com@evil.example.net/": false,
		"jenkins.devops.svc/job/shop/1/":              false,
	} {
		t.Run(address, func(t *testing.T) {
			p := parse(t, page(t, hostileExample("word", address)))
			for _, a := range p.all("a", "") {
				if !is {
					t.Errorf("%q leads to %q", a.text(), a.attribute("href"))
				}
			}
			if is && len(p.all("a", "")) == 0 {
				t.Error("there is no link")
			}
			shown := strings.TrimSpace(spaces.ReplaceAllString(address, " "))
			if got := p.facts()["Build"]; !is && !strings.Contains(got, shown) {
				t.Errorf("the build %q does not show the address", got)
			}
		})
	}
}

func TestPageShowsCharactersThatHide(t *testing.T) {
	text := page(t, hostileExample("a\u202eb\u2066c\u200bd\u0007e\x00f\rg\u2028h\ufeffi", "https://forge.example.com/\u202e"))
	for _, c := range text {
		if strings.ContainsRune("\u202e\u2066\u200b\u0007\x00\r\u2028\ufeff", c) {
			t.Fatalf("the page has the character %U", c)
		}
	}
	if got, want := parse(t, text).one(t, "h2", "").text(), `a\u202eb\u2066c\u200bd\u0007e`; !strings.HasPrefix(got, want) {
		t.Errorf("heading %q, want %q first", got, want)
	}
	const harmless = "回滚\u3000订单 نمی\u200cخواهم שלום 👩\u200d💻 é"
	if got := parse(t, page(t, hostileExample(harmless, ""))).one(t, "blockquote", "").raw(); !strings.Contains(got, harmless) {
		t.Errorf("words of people become %q", got)
	}
}

func TestPageGivesTimesWhereItsReadersAre(t *testing.T) {
	r := askedExample()
	r.Deadline = time.Date(2026, 3, 10, 17, 30, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		location       *time.Location
		deadline, left string
	}{
		"nowhere in particular": {nil, "2026-03-10 17:30 UTC", "7 hours 47 minutes"},
		"where UTC is":          {time.FixedZone("GMT", 0), "2026-03-10 17:30 UTC", "7 hours 47 minutes"},
		"on the next day":       {beijing, "2026-03-10 17:30 UTC (2026-03-11 01:30 CST)", "7 hours 47 minutes"},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := approval.WritePage(&b, []approval.Record{r}, approval.PageOptions{Now: written, Location: test.location}); err != nil {
				t.Fatal(err)
			}
			facts := parse(t, b.String()).facts()
			if facts["Deadline"] != test.deadline || facts["Left"] != test.left {
				t.Errorf("deadline %q, left %q; want %q, %q", facts["Deadline"], facts["Left"], test.deadline, test.left)
			}
		})
	}
	for left, want := range map[time.Duration]string{
		-time.Hour: "0 seconds", time.Second: "1 second", 119 * time.Second: "119 seconds",
		2 * time.Minute: "2 minutes", 119 * time.Minute: "119 minutes",
		2 * time.Hour: "2 hours", 49 * time.Hour: "2 days",
	} {
		r.Deadline = written.Add(left)
		if got := parse(t, page(t, r)).facts()["Left"]; got != want {
			t.Errorf("of %s %q are left, want %q", left, got, want)
		}
	}
}

type fullDisk struct{}

var errFull = errors.New("no space left on device")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestPageThatCannotBeWrittenIsAnError(t *testing.T) {
	if err := approval.WritePage(fullDisk{}, exampleRecords(), approval.PageOptions{Now: written}); !errors.Is(err, errFull) {
		t.Errorf("error %v, want %v", err, errFull)
	}
}
