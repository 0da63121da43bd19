package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestCompletion(t *testing.T) {
	p := newPlace(t, 0)
	for line, want := range map[string]struct {
		words []string
		files bool
	}{
		"ev":                              {words: []string{"evaluate"}},
		"run quick":                       {words: []string{"quickstart"}, files: true},
		"train --model w":                 {words: []string{"wide_resnet"}},
		"train --model = w":               {words: []string{"wide_resnet"}}, // bash
		"train --model=w":                 {words: []string{"--model=wide_resnet"}},
		"train -sn --mom 0.9 --mo":        {words: []string{"--mod", "--model", "--mom"}},
		"train -s":                        {words: []string{"-sn"}},
		"train -tb 7 --opt ":              {words: []string{"adam", "sgd"}},
		"train --save-path ":              {files: true},
		"train --no-d":                    {words: []string{"--no-data-aug"}},
		"evaluate --ood_dataset fashion":  {words: []string{"fashion-mnist", "fashion-mnist-sample"}},
		"evaluate --model-type ":          {words: []string{"ensemble", "gmm", "softmax"}},
		"evaluate --model-type softmax,":  {words: []string{"softmax,ensemble", "softmax,gmm"}},
		"evaluate --model-type=softmax,g": {words: []string{"--model-type=softmax,gmm"}},
		"evaluate --model-type = gmm,s":   {words: []string{"gmm,softmax"}}, // bash
		"evaluate --ood-dataset svhn,ci":  {words: []string{"svhn,cifar10", "svhn,cifar100"}},
		"train --model lenet,w":           {}, // no list
		"data get c":                      {words: []string{"cifar10", "cifar100"}},
		"data verify cifar10 s":           {words: []string{"svhn"}},
		"evaluate runs/":                  {files: true},
		"compare --format c":              {words: []string{"csv"}},
		"completion ":                     {words: []string{"bash", "fish", "zsh"}},
		"train --unheard-of":              {},
	} {
		out, _ := p.must(t, append([]string{"complete-words"}, strings.Split(line, " ")...)...)
		var words []string
		files := false
		for answer := range strings.Lines(out) {
			if answer == ":files\n" {
				files = true
				continue
			}
			word, _, _ := strings.Cut(answer, "\t")
			words = append(words, word)
		}
		if !slices.Equal(words, want.words) || files != want.files {
			t.Errorf("ddu %s: %q, files %v; want %q, %v", line, words, files, want.words, want.files)
		}
	}
	wantRefusal(t, p, []string{"completion", "tcsh"}, []string{"bash", "zsh", "fish", "tcsh"})
}

// Each shell that is here takes its script and completes with it.
func TestCompletionScripts(t *testing.T) {
	p := newPlace(t, 0)
	for shell, script := range map[string]string{
		"bash": `source <(ddu completion bash); COMP_WORDS=(ddu LINE); COMP_CWORD=3; _ddu; echo "${COMPREPLY[@]}"`,
		"zsh": `compdef() { }; _describe() { print -l -- "${candidates[@]%:}" }; _files() { print files }
source <(ddu completion zsh); words=(ddu LINE); CURRENT=4; _ddu`,
		"fish": `ddu completion fish | source; complete -C "ddu LINE"`,
	} {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				t.Skip(err)
			}
			for line, want := range map[string]string{"train --model wid": "wide_resnet", "evaluate --model-type softmax,g": "softmax,gmm"} {
				c := exec.Command(shell, "-c", strings.ReplaceAll(script, "LINE", line))
				c.Dir, c.Env = p.dir, append(p.env, "HOME="+p.dir)
				if out, problems, code := output(t, c); code != 0 || strings.TrimSpace(out) != want {
					t.Errorf("%s completes to %q, want %s; exit code %d, %s", shell, out, want, code, problems)
				}
			}
		})
	}
}
