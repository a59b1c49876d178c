package reports

// The table that a talk on containers' storage showed in 2014, and that was
// repeated ever since, as data: what it claims, and by what rule a figure of
// this host earns the same words. The thresholds were set before anything was
// measured, for what a person notices: twice is little, ten times is much, a
// hundred times is another kind of thing.

// claim is a row of the table.
type claim struct {
	row     string
	says    map[string]string // by kind of storage
	figure  figure
	against string  // what the ratio is to
	scale   []bound // from the best to the worst
}

// figure is what a row is measured by.
type figure struct{ workload, metric string }

// bound is a word, and the highest ratio that earns it: 0 is any.
type bound struct {
	word string
	most float64
}

var claims = []claim{
	{
		row:     "provisioning",
		says:    map[string]string{"union": "superfast", "snapshot": "fast", "block": "fast"},
		figure:  figure{"provision", "provision"},
		against: "copying the image",
		scale:   []bound{{"superfast", 0.01}, {"fast", 0.1}, {"slow", 0}},
	},
	{
		row:     "changing small files",
		says:    map[string]string{"union": "supercheap", "snapshot": "cheap", "block": "costly"},
		figure:  figure{"small_change", "small_change"},
		against: "the same change in a plain directory",
		scale:   []bound{{"supercheap", 2}, {"cheap", 10}, {"costly", 0}},
	},
	{
		row:     "changing large files",
		says:    map[string]string{"union": "slow", "snapshot": "fast", "block": "fast"},
		figure:  figure{"large_change", "large_change"},
		against: "the same change in a plain directory",
		scale:   []bound{{"fast", 10}, {"slow", 0}},
	},
	{
		row:     "diffing",
		says:    map[string]string{"union": "superfast", "snapshot": "superfast", "block": "slow"},
		figure:  figure{"diff", "diff"},
		against: "comparing every file of the copy",
		scale:   []bound{{"superfast", 0.1}, {"fast", 0.5}, {"slow", 0}},
	},
	{
		row:     "memory usage",
		says:    map[string]string{"union": "efficient", "snapshot": "efficient", "block": "inefficient"},
		figure:  figure{"page_cache", "page_cache_per_clone"},
		against: "what a copy of the same file takes",
		scale:   []bound{{"efficient", 0.1}, {"middling", 0.5}, {"inefficient", 0}},
	},
}

// drawbacks are the table's last row: no ratio can be their measure.
var drawbacks = map[string]string{
	"union":    "random quirks",
	"snapshot": "ZFS not mainline",
	"block":    "higher disk usage",
}

// use is something that a host is for, and the figures that it turns on.
type use struct {
	name    string
	figures []figure
	keeps   bool // what is written must outlive a crash of the host
}

var uses = []use{
	{"many short-lived containers: functions, jobs, tests", []figure{{"provision", "provision"}, {"small_change", "small_change"}, {"provision", "delete"}}, false},
	{"building images", []figure{{"import", "import"}, {"churn", "create"}, {"churn", "rename"}, {"diff", "diff"}}, true},
	{"databases, and other large files that change in place", []figure{{"large_change", "large_change"}, {"large_change", "write_per_change"}}, true},
	{"as many containers as fit into memory and disk", []figure{{"page_cache", "page_cache_per_clone"}, {"provision", "disk_per_clone"}}, true},
}

// asGood is how far a storage's cost may be above the best one's to be named
// beside it.
const asGood = 1.25

// least are the figures below which nobody can tell a difference, by unit.
var least = map[string]float64{"s": 1e-6, "B": 4096, "1": 1}
