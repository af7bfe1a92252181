package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// growVolumes stands in for the resizer sidecar: once a second it grows what a claim asks to be larger.
func (d *driver) growVolumes(kubeconfig string) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	must(err)
	client, err := kubernetes.NewForConfig(config)
	must(err)
	for range time.Tick(time.Second) {
		if err := d.growOnce(context.Background(), client); err != nil {
			log.Printf("growing: %v", err)
		}
	}
}

func (d *driver) growOnce(ctx context.Context, client kubernetes.Interface) error {
	claims, err := client.CoreV1().PersistentVolumeClaims("").List(ctx, meta.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return err
	}
	for _, c := range claims.Items {
		asked, has := c.Spec.Resources.Requests[core.ResourceStorage], c.Status.Capacity[core.ResourceStorage]
		if c.Status.Phase != core.ClaimBound || asked.Cmp(has) <= 0 {
			continue
		}
		if err := d.grow(ctx, client, &c); err != nil {
			log.Printf("growing %s/%s: %v", c.Namespace, c.Name, err)
		}
	}
	return nil
}

func (d *driver) grow(ctx context.Context, client kubernetes.Interface, c *core.PersistentVolumeClaim) error {
	pv, err := client.CoreV1().PersistentVolumes().Get(ctx, c.Spec.VolumeName, meta.GetOptions{})
	if err != nil || pv.Spec.CSI == nil || pv.Spec.CSI.Driver != d.name {
		return err
	}
	asked := c.Spec.Resources.Requests[core.ResourceStorage]
	if err := d.resize(pv.Spec.CSI.VolumeHandle, asked.Value()); err != nil {
		return err
	}
	patch := fmt.Sprintf(`{"spec":{"capacity":{"storage":%q}}}`, asked.String())
	if _, err := client.CoreV1().PersistentVolumes().Patch(ctx, pv.Name, types.MergePatchType, []byte(patch), meta.PatchOptions{}); err != nil {
		return err
	}
	patch = fmt.Sprintf(`{"status":{"capacity":{"storage":%q}}}`, asked.String())
	_, err = client.CoreV1().PersistentVolumeClaims(c.Namespace).Patch(ctx, c.Name, types.MergePatchType, []byte(patch), meta.PatchOptions{}, "status")
	return err
}

func (d *driver) resize(id string, size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.Vols[id]
	if v == nil {
		return fmt.Errorf("no volume %q", id)
	}
	if v.Block && size > v.Size {
		file := filepath.Join(d.dir("vols", id), blockFile)
		if err := os.Truncate(file, size); err != nil {
			return err
		}
		device, err := loopOf(file)
		if err != nil {
			return err
		}
		if err := command("losetup", "-c", device); err != nil {
			return err
		}
	}
	v.Size = max(v.Size, size)
	return d.save()
}
