package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/deepuncertainty/ddu/experiments/dataset"
)

// dataCommands look after the data sets on this machine.
type dataCommands struct {
	List   dataListCommand   `cmd:"" help:"List the data sets, where their files are, and their licences."`
	Verify dataVerifyCommand `cmd:"" help:"Read data sets whole and compare their files with the published ones: sizes, checksums, numbers of images."`
	Get    dataGetCommand    `cmd:"" help:"Download a data set from where it is published. Goes on after a stop; never writes over a file."`
}

// rootFlag is the folder of the data sets.
type rootFlag struct {
	Root string `name:"data-root" type:"path" placeholder:"DIR" help:"Folder of the data sets (default: $$DDU_DATA, else ddu/data in the user's cache folder)."`
}

// folder returns the root that is used. It need not be there yet.
func (f rootFlag) folder() (root string, err error) {
	if root = f.Root; root == "" {
		if root, err = dataset.Root(); err != nil {
			return "", err
		}
	}
	// The dot asks whether it is a folder that may be entered.
	if _, err := os.Stat(root + string(filepath.Separator) + "."); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("folder of the data sets: %w", err)
	}
	return root, nil
}

type dataListCommand struct {
	JSON bool `name:"json" help:"Print a JSON list."`
	rootFlag
}

func (c *dataListCommand) Run(term terminal) error {
	root, err := c.folder()
	if err != nil {
		return err
	}
	list, err := dataset.List(root)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(term.out).Encode(list)
	}
	fmt.Fprintf(term.out, "Data sets in %s\n\n", root)
	table := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "name\timages\tclasses\ttraining\ttest\tlicence\tfound")
	for _, l := range list {
		fmt.Fprintf(table, "%s\t%v\t%d\t%s\t%s\t%s\t%s\n", l.Name, l.Shape, l.Classes, countText(l.TrainImages), countText(l.TestImages), l.Licence, foundText(l))
	}
	fmt.Fprintln(table, "folder:PATH\tresized\t\t\t\t\tPNG and JPEG images, one folder per class")
	fmt.Fprintln(table, "npz:PATH\tas they are\t\t\t\t\tNumPy arrays x and y")
	return table.Flush()
}

// countText leaves out a part that there is not.
func countText(images int) string {
	if images == 0 {
		return "-"
	}
	return fmt.Sprint(images)
}

// foundText says which parts are there and where, and what is wrong with others.
func foundText(l dataset.Listing) string {
	var texts []string
	switch {
	case l.Train == "" && l.Test == "":
		if len(l.Problems) == 0 {
			return "no (ddu data get " + l.Name + ")"
		}
	case l.Train == "" && l.HasTrain:
		texts = append(texts, "test only: "+l.Test)
	case l.Test == "":
		texts = append(texts, "training only: "+l.Train)
	default:
		texts = append(texts, l.Test)
	}
	return strings.Join(append(texts, l.Problems...), "; ")
}

type dataVerifyCommand struct {
	Names []string `arg:"" optional:"" help:"Data sets (default: all whose files are there)."`
	JSON  bool     `name:"json" help:"Print a JSON list."`
	rootFlag
}

func (c *dataVerifyCommand) Run(ctx context.Context, term terminal) error {
	root, err := c.folder()
	if err != nil {
		return err
	}
	names := c.Names
	if len(names) == 0 {
		names = dataset.Names()
	}
	all := []dataset.Verification{}
	bad := 0
	for _, name := range names {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		parts, err := dataset.Verify(name, root)
		if err != nil {
			return err
		}
		if absent := !slices.ContainsFunc(parts, func(v dataset.Verification) bool { return !v.Missing }); absent {
			if len(c.Names) == 0 {
				continue
			}
			bad++
		}
		for _, v := range parts {
			if len(v.Problems) > 0 {
				bad++
			}
			if !c.JSON {
				fmt.Fprintln(term.out, v)
			}
		}
		all = append(all, parts...)
	}
	if c.JSON {
		if err := json.NewEncoder(term.out).Encode(all); err != nil {
			return err
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of the data sets and parts above are missing or not as published", bad)
	}
	return nil
}

type dataGetCommand struct {
	Names []string `arg:"" help:"Data sets, by the names that ddu data list shows."`
	From  string   `placeholder:"URL" help:"Address of a folder with the files, instead of where they are published; their checksums stay the same."`
	Quiet bool     `short:"q" help:"No progress."`
	rootFlag
}

func (c *dataGetCommand) Run(ctx context.Context, term terminal) error {
	root, err := c.folder()
	if err != nil {
		return err
	}
	for _, name := range c.Names {
		if _, err := dataset.Lookup(name); err != nil {
			return err // before hours of another download
		}
	}
	bars := newDownloads(term.err, c.Quiet)
	defer bars.close()
	for _, name := range c.Names {
		err := dataset.Get(ctx, name, dataset.GetOptions{Root: root, From: c.From, Progress: bars.progress, Note: bars.note})
		bars.finish()
		if errors.Is(err, context.Canceled) {
			return fmt.Errorf("stopped; what has come is kept: go on with ddu data get %s", strings.Join(c.Names, " "))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
