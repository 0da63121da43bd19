package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

const minimal = "[data]\nname = \"mnist\"\n[model]\nname = \"lenet\"\n"

func mustParse(t *testing.T, text string, overrides ...string) *Config {
	t.Helper()
	c, err := Parse("run.toml", []byte(text), overrides...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultsArePublished(t *testing.T) {
	c := mustParse(t, minimal)
	want := Train{
		Epochs: 350, Batch: 128, Optimizer: "sgd", LR: 0.1, Momentum: 0.9, WeightDecay: 5e-4, Augment: true,
		Schedule: "step", Milestones: []int{150, 250}, Gamma: 0.1, SaveInterval: 25,
	}
	if !reflect.DeepEqual(c.Train, want) {
		t.Errorf("train is %+v, want %+v", c.Train, want)
	}
	if m := (Model{Name: "lenet", Depth: 28, Widen: 10, Coeff: 3, PowerIterations: 1, Act: "relu"}); c.Model != m {
		t.Errorf("model is %+v, want %+v", c.Model, m)
	}
}

func TestDerivedDefaultsFollowTheirKeys(t *testing.T) {
	c := mustParse(t, minimal)
	steps := []struct {
		key, value string
		get        func() any
		want       any
	}{
		{"model.mod", "true", func() any { return c.Model.Act }, "relu"},
		{"model.name", "resnet18", func() any { return c.Model.Act }, "leaky_relu"},
		{"model.name", "wide_resnet", func() any { return c.Model.Dropout }, 0.3},
		{"model.dropout", "0.1", func() any { return c.Model.Dropout }, 0.1},
		{"model.name", "lenet", func() any { return c.Model.Dropout }, 0.1},
		{"model.act", "elu", func() any { return c.Model.Act }, "elu"},
		{"model.mod", "false", func() any { return c.Model.Act }, "elu"},
		{"eval.protocol", "reference", func() any { return c.Eval }, Eval{Methods: []string{"softmax", "energy", "ddu"}, Protocol: "reference", Priors: "none", Covariance: "jitter", Temperature: "grid", Batch: 128}},
		{"eval.temperature", "exact", func() any { return c.Eval.Temperature }, "exact"},
		{"eval.methods", "softmax,ensemble", func() any { return c.Runs.Ensemble }, 5},
		{"eval.methods", "[\"ddu\"]", func() any { return c.Runs.Ensemble }, 1},
		{"precision", "bf16", func() any { return c.Precision }, "bf16"},
		{"data.name", "fashion_mnist", func() any { return c.Data.Name }, "fashion-mnist"},
		{"data.ood", "mnist, mnist_sample", func() any { return c.Data.OOD }, []string{"mnist", "mnist-sample"}},
		{"data.ood", "", func() any { return c.Data.OOD }, []string{}},
		{"data.name", "folder:/a_b/c d", func() any { return c.Data.Name }, "folder:/a_b/c d"},
		{"data.shape", "1x28x28", func() any { return c.Data.Shape }, "1x28x28"},
		{"data.ood", "dirty_mnist,npz:x_y.npz", func() any { return c.Data.OOD }, []string{"dirty-mnist", "npz:x_y.npz"}},
		{"data.root", `C:\data # 1`, func() any { return c.Data.Root }, `C:\data # 1`},
		{"data.root", `"/a b"`, func() any { return c.Data.Root }, "/a b"},
		{"train.milestones", "1,2", func() any { return c.Train.Milestones }, []int{1, 2}},
		{"train.lr", "1", func() any { return c.Train.LR }, 1.0},
		{"seed", "4294967295", func() any { return c.Seed }, uint64(4294967295)},
	}
	for _, s := range steps {
		if err := c.Set(s.key, s.value); err != nil {
			t.Fatalf("%s=%s: %v", s.key, s.value, err)
		}
		if got := s.get(); !reflect.DeepEqual(got, s.want) {
			t.Errorf("after %s=%s: %v, want %v", s.key, s.value, got, s.want)
		}
	}
}

func TestProblems(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"misspelt key":        {minimal + "[train]\nepocs = 3\n", "run.toml:6:1: train.epocs: unknown key, did you mean train.epochs?"},
		"wrong section":       {"lr = 0.1\n" + minimal, "run.toml:1:1: lr: unknown key, did you mean lr under [train]?"},
		"PyTorch's name":      {minimal + "[train]\n  weight-decay = 1\n", "run.toml:6:3: train.weight-decay: unknown key, did you mean train.weight_decay?"},
		"no such key":         {minimal + "[runs]\nbananas = 3\n", "run.toml:6:1: runs.bananas: unknown key, want one of count, ensemble"},
		"no such table":       {minimal + "[trian]\nepochs = 3\n", "run.toml:5:2: trian: unknown table, did you mean train?"},
		"unlike any table":    {minimal + "[bananas]\n", "run.toml:5:2: bananas: unknown table, want one of [data], [model], [train], [eval], [runs]"},
		"dotted key":          {minimal + "[train]\nlr.x = 3\n", "run.toml:6:1: train.lr: found a table, want a number above 0"},
		"table array":         {minimal + "[[train]]\n", "run.toml:5:3: train: found a list of tables, want a table: write [train] on a line of its own and its keys below"},
		"section as value":    {"train = 3\n" + minimal, "run.toml:1:1: train: found 3, want a table: write [train] on a line of its own and its keys below"},
		"quoted dots":         {"\"train.lr\" = 3\n" + minimal, `run.toml:1:1: "train.lr": unknown key`},
		"text for number":     {minimal + "[train]\nepochs = \"three\"\n", "run.toml:6:1: train.epochs: found \"three\" (text), want a whole number of at least 1"},
		"fraction":            {minimal + "[train]\nepochs = 3.0\n", "run.toml:6:1: train.epochs: found 3.0, want a whole number of at least 1"},
		"zero":                {minimal + "[train]\nepochs = 0\n", "run.toml:6:1: train.epochs: found 0, want a whole number of at least 1"},
		"huge":                {minimal + "[train]\nepochs = 9000000000\n", "run.toml:6:1: train.epochs: found 9000000000, want a whole number of at least 1"},
		"nan":                 {minimal + "[train]\nlr = nan\n", "run.toml:6:1: train.lr: found NaN, want a number above 0"},
		"inf":                 {minimal + "[train]\nlr = inf\n", "run.toml:6:1: train.lr: found +Inf, want a number above 0"},
		"number for bool":     {"[data]\nname=\"mnist\"\n[model]\nname=\"lenet\"\nsn = 1\n", "run.toml:5:1: model.sn: found 1, want true or false"},
		"date":                {minimal + "[train]\nlr = 2020-01-01\n", "run.toml:6:1: train.lr: found the date or time 2020-01-01, want a number above 0"},
		"list of mixed":       {minimal + "[train]\nmilestones = [1, \"2\"]\n", `run.toml:6:1: train.milestones: found [1, "2"], want rising epochs of at least 1`},
		"no list":             {minimal + "[train]\nmilestones = 2\n", "run.toml:6:1: train.milestones: found 2, want a list in brackets: rising epochs of at least 1"},
		"text for list":       {"[data]\nname=\"mnist\"\nood=\"svhn\"\n[model]\nname=\"lenet\"\n", `run.toml:3:1: data.ood: found "svhn" (text), want a list in brackets: data set names`},
		"falling milestones":  {minimal + "[train]\nmilestones = [2, 1]\n", "run.toml:6:1: train.milestones: found [2, 1], want rising epochs of at least 1"},
		"fp16":                {"precision = \"fp16\"\n" + minimal, `run.toml:1:1: precision: found "fp16", want one of auto, fp32, bf16`},
		"method twice":        {minimal + "[eval]\nmethods = [\"ddu\", \"ddu\"]\n", `run.toml:6:1: eval.methods: found ["ddu", "ddu"], want some of softmax, msp, energy, ddu, ensemble, each once`},
		"depth":               {minimal + "depth = 12\n", "run.toml:5:1: model.depth: found 12, want 6n+4 with n of at least 1 (10, 16, 22, 28, ...)"},
		"negative seed":       {"seed = -1\n" + minimal, "run.toml:1:1: seed: found -1, want a whole number from 0 to 4294967295"},
		"own OoD":             {"[data]\nname=\"mnist\"\nood=[\"mnist\"]\n[model]\nname=\"lenet\"\n", `run.toml:3:1: data.ood: found "mnist", which is data.name too`},
		"shape of a set":      {"[data]\nname=\"mnist\"\nshape=\"1x28x28\"\n[model]\nname=\"lenet\"\n", `run.toml:3:1: data.shape: found "1x28x28" with data.name = "mnist": only the images of a folder:PATH are resized`},
		"other shape":         {"[data]\nname=\"folder:x\"\nshape=\"3x64x64\"\n[model]\nname=\"lenet\"\n", `run.toml:3:1: data.shape: found "3x64x64", want "3x32x32" or "1x28x28"`},
		"folder without path": {"[data]\nname=\"folder:\"\n[model]\nname=\"lenet\"\n", `run.toml:2:1: data.name: found "folder:", want a data set name of letters, digits and hyphens, folder:PATH or npz:PATH`},
		"nothing":             {"", "run.toml: data.name: missing, want a data set name of letters, digits and hyphens, folder:PATH or npz:PATH\nrun.toml: model.name: missing, want one of lenet, "},
		"syntax":              {"[data]\nname = mnist\n", "run.toml:2:8: "},
		"twice":               {"seed = 1\nseed = 2\n", "run.toml:2:1: "},
		"nesterov":            {minimal + "[train]\nnesterov = true\nmomentum = 0\n", "run.toml:6:1: train.nesterov: found true with train.momentum = 0, want a momentum above 0"},
		"warmup":              {minimal + "[train]\nwarmup = 9\nepochs = 9\n", "run.toml:6:1: train.warmup: found 9, want fewer than train.epochs (9)"},
		"onecycle warmup":     {minimal + "[train]\nwarmup = 1\nschedule = \"onecycle\"\n", "run.toml:6:1: train.warmup: found 1 with train.schedule = \"onecycle\", which has its own rise: want 0"},
		"ensemble of one":     {minimal + "[eval]\nmethods = [\"ensemble\"]\n[runs]\nensemble = 1\n", "run.toml:8:1: runs.ensemble: found 1, want at least 2"},
		"seeds run out":       {"seed = 4294967290\n" + minimal + "[runs]\ncount = 9\n", "run.toml:1:1: seed: found 4294967290, want seeds of all 9 networks to stay at or below 4294967295"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Parse("run.toml", []byte(test.text))
			if err == nil {
				t.Fatalf("accepted: %+v", c)
			}
			if !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error is\n%s\nwant\n%s", err, test.want)
			}
		})
	}
}

func TestOverridesThatNameNoKey(t *testing.T) {
	for override, want := range map[string]string{
		"=3":             "--set =3: want key=value, as in train.epochs=3",
		"bananas":        "--set bananas: want key=value, as in train.epochs=3",
		"train=3":        "--set train: is a table, want one of epochs, batch, ",
		"runs=[1]":       "--set runs: is a table, want one of count, ensemble",
		"runs.bananas=3": "--set runs.bananas: unknown key, want one of count, ensemble",
		"lr=3":           "--set lr: unknown key, did you mean lr under [train]?",
	} {
		if _, err := Parse("run.toml", []byte(minimal), override); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("--set %s: error %v, want %q", override, err, want)
		}
	}
}

func TestAllProblemsAtOnceInOrder(t *testing.T) {
	_, err := Parse("run.toml", []byte("sed = 1\n"+minimal+"widen = 0\n[train]\nlr = -1\noptimizer = \"sgdd\"\n"), "train.epochs=x", "nonsense", "eval.covariance=full")
	var all *Error
	if !errors.As(err, &all) {
		t.Fatalf("error is %T %v", err, err)
	}
	want := `run.toml:1:1: sed: unknown key, did you mean seed?
run.toml:6:1: model.widen: found 0, want a whole number of at least 1
run.toml:8:1: train.lr: found -1, want a number above 0
run.toml:9:1: train.optimizer: found "sgdd", want one of sgd, adam
--set train.epochs: found "x" (text), want a whole number of at least 1
--set nonsense: want key=value, as in train.epochs=3
--set eval.covariance: found "full", want one of auto, oas, jitter`
	if err.Error() != want {
		t.Errorf("error is\n%s\nwant\n%s", err, want)
	}
	var p Problem
	if !errors.As(err, &p) || p.Line != 1 || p.Column != 1 || p.Key != "sed" {
		t.Errorf("first problem is %+v", p)
	}
}

func TestSetRefusesAndLeavesAsIs(t *testing.T) {
	c := mustParse(t, minimal)
	before := c.Settings()
	for _, test := range []struct{ key, value, want string }{
		{"train.epoch", "3", "--set train.epoch: unknown key, did you mean train.epochs?"},
		{"train", "3", "--set train: is a table, want one of epochs, "},
		{"train.epochs", "3\nseed = 7", `--set train.epochs: found "3\nseed = 7", which is not one TOML value: want a whole number of at least 1`},
		{"train.epochs", "", `--set train.epochs: found "", which is not one TOML value: want a whole number of at least 1`},
		{"train.epochs", "3 4", `--set train.epochs: found "3 4", which is not one TOML value: want a whole number of at least 1`},
		{"model.sn", "yes", `--set model.sn: found "yes" (text), want true or false`},
		{"data.ood", "mnist", `--set data.ood: found "mnist", which is data.name too`},
		{"train.warmup", "400", "--set train.warmup: found 400, want fewer than train.epochs (350)"},
		{"precision", "fp16", `--set precision: found "fp16", want one of auto, fp32, bf16`},
	} {
		err := c.Set(test.key, test.value)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s=%q: error is %v, want %s", test.key, test.value, err, test.want)
		}
	}
	if after := c.Settings(); !reflect.DeepEqual(before, after) {
		t.Errorf("refused values changed the experiment: %v, was %v", after, before)
	}
}

func TestResolvedRoundTrips(t *testing.T) {
	c := mustParse(t, minimal, "seed=7", "model.mod=true", "model.dropout=0.25", "data.root=/a 'b' \"c\"\\d", "train.lr=1e-7", "data.ood=svhn", "eval.protocol=reference", "train.milestones=[]")
	text, err := c.Resolved()
	if err != nil {
		t.Fatal(err)
	}
	again := mustParse(t, string(text))
	if d := Changed(c, again); d != nil {
		t.Errorf("read back differently: %v\n%s", d, text)
	}
	if again.Model.Act != "relu" || again.Eval.Covariance != "jitter" {
		t.Errorf("derived defaults were lost: %+v", again)
	}
	for _, k := range Keys() {
		if _, last, ok := strings.Cut(k.Name, "."); ok && !strings.Contains(string(text), "\n"+last+" = ") {
			t.Errorf("%s is not written", k.Name)
		}
	}
	if d := Changed(c, mustParse(t, string(text), "train.epochs=3")); len(d) != 1 || d[0] != "train.epochs: 350 -> 3" {
		t.Errorf("one change shows as %v", d)
	}
}

func TestAtNamesThePlace(t *testing.T) {
	cause := errors.New("not there")
	c := mustParse(t, minimal, "data.ood=svhn")
	for key, want := range map[string]string{
		"data.name": "run.toml:2:1: data.name: not there",
		"data.ood":  "--set data.ood: not there",
		"seed":      "run.toml: seed: not there",
	} {
		err := c.At(key, cause)
		if err == nil || err.Error() != want || !errors.Is(err, cause) {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
	if err := c.At("seed", nil); err != nil {
		t.Errorf("no error became %v", err)
	}
}

func TestRunName(t *testing.T) {
	for want, m := range map[string]Model{
		"lenet":                  {Name: "lenet", Coeff: 3},
		"wide_resnet_sn_3.0_mod": {Name: "wide_resnet", SN: true, Coeff: 3, Mod: true},
		"resnet18_sn_0.65":       {Name: "resnet18", SN: true, Coeff: 0.65},
		"vgg16_sn_1e-05":         {Name: "vgg16", SN: true, Coeff: 1e-5},
		"vgg16_sn_1e+16_mod":     {Name: "vgg16", SN: true, Coeff: 1e16, Mod: true},
	} {
		if got := m.RunName(); got != want {
			t.Errorf("name is %s, want %s", got, want)
		}
	}
}

var somePresets = fstest.MapFS{
	"digits.toml": {Data: []byte("\n# Digits, quickly.\n# more\n" + minimal)},
	"other.toml":  {Data: []byte(minimal)},
}

func TestLoadTakesFilesThenPresets(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "digits.toml")
	for _, name := range []string{"digits", "digits.toml", "experiments/digits.toml", "experiments/digits", file} {
		c, err := Load(somePresets, name, "seed=5")
		if err != nil || c.Seed != 5 || c.String() != "digits.toml" {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	if err := os.WriteFile(file, []byte("seed = 9\n"+minimal), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(somePresets, file); err != nil || c.Seed != 9 || c.String() != file {
		t.Errorf("the file was not read: %v, %v", c, err)
	}
	for name, want := range map[string]string{
		"digit":   "experiment digit: there is no such file and no preset of that name, did you mean digits?",
		"x.toml":  "experiment x.toml: there is no such file and no preset of that name, want a TOML file or one of the presets digits, other",
		dir + "/": "experiment " + dir + "/: is a directory",
	} {
		if _, err := Load(somePresets, name); err == nil || err.Error() != want {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
	list, err := Presets(somePresets)
	if want := []Preset{{"digits", "Digits, quickly."}, {"other", ""}}; err != nil || !reflect.DeepEqual(list, want) {
		t.Errorf("presets are %v, %v", list, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{minimal, "seed = -1", "train = {epochs = 3, lr = 1e-3}", "a.b.c = 1\n[a.b]\n", "[[data]]\n[model", "\"train.lr\"=1", "data.ood=['a','b']"} {
		f.Add(seed, "train.lr", "0.5")
	}
	f.Add(minimal, "data.ood", "['a',\"b\",]")
	f.Fuzz(func(t *testing.T, text, name, value string) {
		c, err := Parse("run.toml", []byte(text))
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "run.toml:") {
					t.Fatalf("message without its file: %q", line)
				}
			}
			return
		}
		_ = c.Set(name, value)
		resolved, err := c.Resolved()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("run.toml", resolved)
		if err != nil {
			t.Fatalf("what was written is refused: %v\n%s", err, resolved)
		}
		if d := Changed(c, again); d != nil {
			t.Fatalf("read back differently: %v", d)
		}
	})
}
