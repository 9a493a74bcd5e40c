# The image of a host: for EC2 (amazon-ebs) and as a disk for virtual machines (qemu). Packer 1.6.6 and later take this file;
# current ones need the plugins of plugins.pkr.hcl too: give them the directory, and 1.6.6 this file alone.
#
#   cargo xtask package
#   packer build -only=qemu.host -var base_image=debian-12-genericcloud-amd64.qcow2 \
#     -var base_checksum=sha512:... -var ssh_key=seed/id_ed25519 packaging/image/host.pkr.hcl

variable "packages" {
  type        = string
  default     = "target/packages"
  description = "Directory with the packages that cargo xtask package has made."
}

variable "image" {
  type        = string
  default     = "packaging/image"
  description = "This directory."
}

variable "name" {
  type    = string
  default = "berth-host-debian-12"
}

variable "docker_version" {
  type        = string
  default     = ""
  description = "Version of docker.io to install; without it the newest of the base image's release."
}

variable "region" {
  type    = string
  default = "us-east-1"
}

variable "instance_type" {
  type    = string
  default = "t3.small"
}

variable "base_image" {
  type        = string
  default     = "debian-12-genericcloud-amd64.qcow2"
  description = "Debian's cloud image, a file or a URL."
}

variable "base_checksum" {
  type    = string
  default = "none"
}

variable "seed" {
  type        = string
  default     = "packaging/image/seed"
  description = "Directory with user-data and meta-data that let ssh_key in; for qemu alone."
}

variable "ssh_key" {
  type    = string
  default = ""
}

variable "console" {
  type        = string
  default     = "/dev/null"
  description = "File for what the machine says on its serial port while it is made; for qemu alone."
}

variable "output" {
  type        = string
  default     = "target/image"
  description = "Directory for the disk, which must not be there yet; for qemu alone."
}

variable "accelerator" {
  type        = string
  default     = "kvm"
  description = "The value tcg is for machines without KVM."
}

locals {
  stamp = formatdate("YYYYMMDD-hhmmss", timestamp())
}

source "amazon-ebs" "host" {
  region        = var.region
  instance_type = var.instance_type
  ami_name      = "${var.name}-${local.stamp}"
  ssh_username  = "admin"

  source_ami_filter {
    # Debian's account.
    owners      = ["136693071363"]
    most_recent = true
    filters = {
      name                = "debian-12-amd64-*"
      virtualization-type = "hvm"
      root-device-type    = "ebs"
    }
  }

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = 16
    iops                  = 3000
    throughput            = 125
    delete_on_termination = true
  }

  tags = {
    Name      = var.name
    base_name = "{{ .SourceAMIName }}"
  }
}

source "qemu" "host" {
  iso_url              = var.base_image
  iso_checksum         = var.base_checksum
  disk_image           = true
  disk_size            = "16G"
  format               = "qcow2"
  accelerator          = var.accelerator
  headless             = true
  cd_files             = ["${var.seed}/user-data", "${var.seed}/meta-data"]
  cd_label             = "cidata"
  ssh_username         = "debian"
  ssh_private_key_file = var.ssh_key
  ssh_timeout          = "20m"
  memory               = 1024
  cpus                 = 2
  qemuargs             = [["-serial", "file:${var.console}"]]
  # Services are not stopped: they would write what check.sh has just found gone, such as the seed of random numbers.
  shutdown_command = "sudo systemctl poweroff --force"
  output_directory = var.output
  vm_name          = "${var.name}.qcow2"
}

build {
  sources = ["source.amazon-ebs.host", "source.qemu.host"]

  # What user data does is over before anything is changed.
  provisioner "shell" {
    inline = ["cloud-init status --wait > /dev/null || true", "mkdir -p /tmp/berth/packages"]
  }

  provisioner "file" {
    sources     = ["${var.image}/files", "${var.image}/scripts"]
    destination = "/tmp/berth/"
  }

  provisioner "file" {
    source      = "${var.packages}/"
    destination = "/tmp/berth/packages"
  }

  provisioner "shell" {
    inline = [
      "sudo DOCKER_VERSION='${var.docker_version}' sh /tmp/berth/scripts/provision.sh /tmp/berth",
      "sudo install -m 0755 /tmp/berth/scripts/clean.sh /tmp/berth/scripts/check.sh /root/",
      # Last: it takes the keys away that this came in with. What was opened stays open until the end.
      "sudo sh -c 'sh /root/clean.sh && mv /root/check.sh /run/check.sh && rm /root/clean.sh && sh /run/check.sh'",
    ]
  }

  post-processor "manifest" {
    output = "${var.output}-manifest.json"
  }
}
