package operation

import (
	"testing"
)

func TestTmp(t *testing.T) { all(t, imported(t)) }
func all(t *testing.T, target Target) {

	log := func(m []Measurement, err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
		for _, m := range m {
			t.Log(m)
		}
	}
	log(Provision(t.Context(), target, ProvisionOptions{Clones: 4}))
	log(SmallChange(t.Context(), target, SmallChangeOptions{Files: 50}))
	log(SmallChange(t.Context(), target, SmallChangeOptions{Files: 50, Cold: true}))
	log(LargeChange(t.Context(), target, LargeChangeOptions{Size: large, Cold: true}))
	log(Churn(t.Context(), target, ChurnOptions{Files: 50}))
	log(Diff(t.Context(), target, DiffOptions{Changed: 50}))
	log(Diff(t.Context(), target, DiffOptions{Changed: 0}))
	log(PageCache(t.Context(), target, PageCacheOptions{Size: large, Clones: 3}))
	log(PageCache(t.Context(), target, PageCacheOptions{Size: large, Clones: 3, Mapped: true}))
	log(Fsync(t.Context(), target, FsyncOptions{}))
}

func TestTmpQuirks(t *testing.T) {
	f, err := Try(t.Context(), open(t, QuirkPoolSize))
	if err != nil {
		t.Error(err)
	}
	for _, f := range f {
		t.Log(f.Name, ":", f.Found)
	}
}
